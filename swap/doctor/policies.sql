-- Policies that read any of the given views.
SELECT DISTINCT n.nspname, c.relname, p.polname::text, v.oid::regclass::text
FROM unnest(%(views)s::oid[]) v(oid)
JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
JOIN pg_policy p ON p.oid = d.objid
JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3, 4
