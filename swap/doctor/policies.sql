-- Policies that read one of the given views.
SELECT DISTINCT n.nspname AS schema, c.relname AS relation, p.polname::text AS policy, v.oid::regclass::text AS reads
FROM unnest(%(views)s::oid[]) v(oid)
JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
JOIN pg_policy p ON p.oid = d.objid
JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY schema, relation, policy, reads
