-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone`: the row left this key, so replay has to look whether it must be deleted.
-- Everything is named with its schema: the table, operators, types. So there is nothing that a search_path could change, and
-- the function needs no SET of its own, which would double the cost of a capture.
BEGIN
{fired_by}    INSERT INTO {changes} ({columns}, gone) VALUES ({values}, {gone});
    RETURN NULL;
END
