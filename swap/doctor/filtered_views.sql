-- Materialized views whose filling row security would filter: REFRESH runs as their owner. What a view under it reads is read as that
-- view's owner, or (security_invoker) as whoever reads the view.
WITH RECURSIVE reads AS (
    SELECT c.oid AS matview, c.oid AS view, c.relowner AS role FROM pg_class c WHERE c.oid = ANY (%(oids)s::oid[])
    UNION
    SELECT r.matview, t.oid, CASE WHEN t.relkind = 'v' AND NOT coalesce(t.reloptions @> '{security_invoker=true}'
                                       OR t.reloptions @> '{security_invoker=on}' OR t.reloptions @> '{security_invoker=1}', false)
                                  THEN t.relowner ELSE r.role END
    FROM reads r
    JOIN pg_rewrite w ON w.ev_class = r.view
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.view
    JOIN pg_class t ON t.oid = d.refobjid AND t.relkind IN ('r', 'p', 'v')
)
SELECT DISTINCT r.matview::bigint AS oid, tn.nspname AS schema, t.relname AS "table", role.rolname AS role
FROM reads r JOIN pg_class t ON t.oid = r.view AND t.relkind IN ('r', 'p') AND t.relrowsecurity
JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_roles role ON role.oid = r.role
WHERE NOT role.rolsuper AND NOT role.rolbypassrls AND (t.relforcerowsecurity OR NOT pg_has_role(role.oid, t.relowner, 'USAGE'))
ORDER BY 1, 2, 3, 4
