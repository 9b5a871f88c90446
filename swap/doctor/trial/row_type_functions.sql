-- Functions whose signature has the row type of one of the tables: over copies of the tables they have to be made anew.
SELECT DISTINCT d.objid::bigint, pg_get_functiondef(d.objid)
FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
JOIN pg_proc p ON p.oid = d.objid AND p.prokind <> 'a'
WHERE c.oid = ANY (%(oids)s::oid[]) AND p.oid <> ALL (%(dependents)s::oid[])
ORDER BY 1
