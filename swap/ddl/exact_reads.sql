-- The trap of `[cutover] reads = "exact"`: the planner runs this when it plans a read of a table that an exchange has put in
-- place, with the snapshot of whoever plans. It is labelled IMMUTABLE so that the planner does; it reads a row all the same.
--
-- A snapshot that shows the generation ($1) reads the truth. Another one reads the table as replay had left it, and is told to retry, as
-- PostgreSQL tells it after any concurrent update. READ COMMITTED plans before it takes the snapshot that it reads with. So a
-- statement that waited behind the exchange may be planned with an old snapshot, and be right. It goes on if one is sure to follow:
-- - a statement that a client sent, and no EXECUTE or COPY, which read with the snapshot of before their wait;
-- - a statement of a VOLATILE function or a DO block in PL/pgSQL. One in a STABLE function reads with its caller's snapshot. So may
--   a query that another function runs by its text (query_to_xml); in an expression or EXECUTE its context looks the same on 15.
-- The rest is told to retry, where the context is in another language than English too.
--
-- Every name has its schema, and no text depends on a setting. The context names a function by the search_path of when it was
-- compiled. So every function of that name has to be VOLATILE.
DECLARE
    context pg_catalog.text;
    frame pg_catalog.text[];
    query pg_catalog.text;
BEGIN
    IF (SELECT f.generation OPERATOR(pg_catalog.>=) $1
        FROM {fence} f WHERE f.tag OPERATOR(pg_catalog.=) {tag}::pg_catalog.int8) THEN
        RETURN true;
    END IF;
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.~) '^read ' THEN
        GET DIAGNOSTICS context = PG_CONTEXT;
        IF pg_catalog.strpos(context, E'\n') OPERATOR(pg_catalog.=) 0 THEN
            query := pg_catalog.current_query();
            IF query OPERATOR(pg_catalog.~*) E'^([[:space:](]|--[^\n]*\n|/[*]([^*]|[*](?!/))*[*]/)*(select|with|values|table|insert|update|delete|merge)[[:>:]]'
               AND query OPERATOR(pg_catalog.!~*) ';[[:space:]]*(execute|copy|create|explain)[[:>:]]' THEN
                RETURN true;
            END IF;
        ELSE
            frame := pg_catalog.regexp_match(context,
                E'^[^\n]*\n(SQL statement|(?:SQL|PL/pgSQL) expression|PL/pgSQL assignment) "(?:[^"]|"(?!\n))*"\nPL/pgSQL function (?:inline_code_block|([^\n()]+)[(][^\n()]*[)]) line [0-9]+ at ([^\n]+)');
            IF frame[1] OPERATOR(pg_catalog.<>) 'SQL statement'
               OR frame[3] OPERATOR(pg_catalog.~) '^(SQL statement|PERFORM|FOR over SELECT rows|RETURN QUERY)$' THEN
                IF frame[2] IS NULL THEN
                    RETURN true;
                END IF;
                frame := pg_catalog.parse_ident(frame[2]);
                IF (SELECT pg_catalog.bool_and(p.provolatile OPERATOR(pg_catalog.=) 'v') FROM pg_catalog.pg_proc p
                    WHERE p.proname OPERATOR(pg_catalog.=) frame[pg_catalog.array_upper(frame, 1)]::pg_catalog.name) THEN
                    RETURN true;
                END IF;
            END IF;
        END IF;
    END IF;
    RAISE EXCEPTION 'could not serialize access due to an exchange of tables'
        USING ERRCODE = 'serialization_failure', HINT = 'The transaction might succeed if retried.';
END
