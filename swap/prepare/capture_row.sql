-- Keys only, never row values: the change table says that a key is due, replay reads the row again (invariant 3).
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {changes} (key) VALUES (NEW.{key});
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO {changes} (key) VALUES (NEW.{key});
        IF OLD.{key} <> NEW.{key} THEN
            INSERT INTO {changes} (key) VALUES (OLD.{key});
        END IF;
    ELSE
        INSERT INTO {changes} (key) VALUES (OLD.{key});
    END IF;
    RETURN NULL;
END
