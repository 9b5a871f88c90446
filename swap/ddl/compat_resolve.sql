-- Two names of one key, after the cutover: whichever of the two was written wins, two that differ are rejected. The
-- first of the BEFORE triggers, so the application's own see both names filled.
BEGIN
{fired_by}    IF TG_OP = 'UPDATE' THEN
        IF {required} AND NEW.{other} IS NULL THEN
            NEW.{other} := OLD.{other};
        END IF;
        IF NEW.{other} IS NOT DISTINCT FROM OLD.{other} THEN
            NEW.{other} := NEW.{key};
        ELSIF NEW.{key} IS NOT DISTINCT FROM OLD.{key} THEN
            NEW.{key} := NEW.{other};
        END IF;
    ELSIF NEW.{key} IS NULL THEN
        NEW.{key} := coalesce(NEW.{other}, {generate});
    END IF;
    IF NEW.{other} IS NULL THEN
        NEW.{other} := NEW.{key};
    ELSIF NEW.{other} IS DISTINCT FROM NEW.{key} THEN
        RAISE EXCEPTION '% = % and % = % are two names of one key, and two values',
            {key_label}, NEW.{key}, {other_label}, NEW.{other}
            USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    RETURN NEW;
END
