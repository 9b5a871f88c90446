-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Nothing here is looked up by name but the one qualified table: no operator, no function, no type. So there is nothing
-- that a search_path could change, and the function needs no SET of its own, which would double the cost of a capture.
BEGIN
    INSERT INTO {changes} (key, gone) VALUES ({row}.{key}, {gone});
    RETURN NULL;
END
