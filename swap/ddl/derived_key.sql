-- The integer that a uuid was derived from; NULL for a uuid of another kind. See derived_uuid.sql.
DECLARE
    bytes pg_catalog.bytea := pg_catalog.uuid_send(given);
    high bigint := {high};
    low bigint := {low};
    tag bigint := (high OPERATOR(pg_catalog.&) -65536)
        OPERATOR(pg_catalog.|) ((high OPERATOR(pg_catalog.>>) 2) OPERATOR(pg_catalog.&) 1023);
    body bigint := ((high OPERATOR(pg_catalog.&) 3) OPERATOR(pg_catalog.<<) 62)
        OPERATOR(pg_catalog.|) (low OPERATOR(pg_catalog.&) 4611686018427387903);
    found bigint;
BEGIN
    IF (high OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.&) 15 OPERATOR(pg_catalog.<>) 4
        OR (low OPERATOR(pg_catalog.>>) 62) OPERATOR(pg_catalog.&) 3 OPERATOR(pg_catalog.<>) 2
    THEN
        RETURN NULL;
    END IF;
    found := body OPERATOR(pg_catalog.#) {mask};
    IF {tag_of_found} OPERATOR(pg_catalog.&) -64513 OPERATOR(pg_catalog.<>) tag THEN
        RETURN NULL;
    END IF;
    RETURN found;
END
