-- Only its owner has a right on the state schema and on everything that swap keeps in it, whatever ALTER DEFAULT PRIVILEGES let
-- in. The owner of a table with triggers may execute their functions: the triggers of a new partition are created by whoever
-- creates the partition. What an exchange set aside keeps its rights: it is the application's.
DECLARE
    state pg_catalog.oid := (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {schema});
    it record;
BEGIN
    FOR it IN
        WITH made AS (
            SELECT 'SCHEMA' AS kind, pg_catalog.quote_ident(n.nspname) AS name, n.nspowner AS owner, n.nspacl AS acl, 'n'::"char" AS type
            FROM pg_catalog.pg_namespace n WHERE n.oid = state
            UNION ALL
            SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::text, c.relowner, c.relacl,
                   CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char"
            FROM pg_catalog.pg_class c WHERE c.relnamespace = state AND c.relkind IN ('r', 'S')
            UNION ALL
            SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::text, p.proowner, p.proacl, 'f'
            FROM pg_catalog.pg_proc p WHERE p.pronamespace = state AND p.proname !~ '_[0-9]+_[0-9]+$'
            UNION ALL
            SELECT 'TYPE', y.oid::pg_catalog.regtype::text, y.typowner, y.typacl, 'T'
            FROM pg_catalog.pg_type y WHERE y.typnamespace = state AND y.typtype = 'e'
        )
        SELECT DISTINCT m.kind, m.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS grantee
        FROM made m, pg_catalog.aclexplode(coalesce(m.acl, pg_catalog.acldefault(m.type, m.owner))) x
        WHERE x.grantee <> m.owner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', it.kind, it.name, it.grantee);
    END LOOP;
END
