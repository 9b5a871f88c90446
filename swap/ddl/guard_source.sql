-- Every row has both keys from its birth, and the key that is not the primary one never changes:
-- references of other tables already carry it.
BEGIN
{fired_by}    IF NEW.{column} IS NULL THEN
        IF TG_OP = 'UPDATE' THEN
            NEW.{column} := OLD.{column};
        END IF;
        IF NEW.{column} IS NULL THEN
            {generate}
        END IF;
    ELSIF TG_OP = 'UPDATE' AND OLD.{column} IS NOT NULL AND NEW.{column} <> OLD.{column} THEN
        RAISE EXCEPTION '% of % cannot change from % to % while its key is being migrated',
            {label}, TG_TABLE_NAME, OLD.{column}, NEW.{column}
            USING ERRCODE = 'check_violation', CONSTRAINT = 'swap_guard', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
    RETURN NEW;
END
