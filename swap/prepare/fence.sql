-- A REPEATABLE READ transaction whose snapshot is older than the exchange would look for its rows in a table
-- that did not hold them yet. It sees the fence's old generation, and is told to retry as PostgreSQL tells it
-- to after any concurrent update (SQLSTATE 40001). READ COMMITTED statements never see the old generation.
BEGIN
    IF (SELECT f.generation FROM {fence} f WHERE f.tag = {tag}) IS DISTINCT FROM {generation} THEN
        RAISE EXCEPTION 'could not serialize access due to an exchange of the table %', TG_TABLE_NAME
            USING ERRCODE = 'serialization_failure', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NULL;
END
