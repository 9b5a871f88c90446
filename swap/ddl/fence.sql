-- A REPEATABLE READ transaction whose snapshot is older than the exchange would look for its rows in a table
-- that did not hold them yet. It sees the fence's old generation, and is told to retry as PostgreSQL tells it
-- to after any concurrent update (SQLSTATE 40001). READ COMMITTED statements never see the old generation.
-- Every operator is named with its schema, so it needs no pinned search_path, which would cost every statement more
-- than the look itself.
BEGIN
{fired_by}    IF (SELECT f.generation OPERATOR(pg_catalog.=) {generation}::pg_catalog.int8
        FROM {fence} f WHERE f.tag OPERATOR(pg_catalog.=) {tag}::pg_catalog.int8) IS NOT TRUE THEN
        RAISE EXCEPTION 'could not serialize access due to an exchange of the table %', TG_TABLE_NAME
            USING ERRCODE = 'serialization_failure', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NULL;
END
