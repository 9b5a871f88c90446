-- The owner of a table of a run may execute the functions of its triggers: see swap/ddl/own_triggers.py. For functions of before.
DECLARE
    it record;
BEGIN
    FOR it IN
        SELECT DISTINCT p.oid::pg_catalog.regprocedure AS name, pg_catalog.quote_ident(r.rolname) AS owner
        FROM {run} u, pg_catalog.jsonb_array_elements(u.plan -> 'catalog' -> 'tables' || (u.plan -> 'catalog' -> 'source')) t
        JOIN pg_catalog.pg_roles r ON r.rolname = t ->> 'owner',
        pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = {schema} AND u.phase NOT IN ('finalized', 'aborted') AND p.proname !~ '_[0-9]+_[0-9]+$'
          AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
    LOOP
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s', it.name, it.owner);
    END LOOP;
END
