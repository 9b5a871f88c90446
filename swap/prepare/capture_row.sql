-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
-- `gone` (true by default): the row left this key, so replay has to look whether it must be deleted.
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {changes} (key, gone) VALUES (NEW.{key}, false);
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO {changes} (key, gone) VALUES (NEW.{key}, false);
        IF OLD.{key} <> NEW.{key} THEN
            INSERT INTO {changes} (key) VALUES (OLD.{key});
        END IF;
    ELSE
        INSERT INTO {changes} (key) VALUES (OLD.{key});
    END IF;
    RETURN NULL;
END
