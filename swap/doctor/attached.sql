-- Functions of triggers, types, and sequences in defaults: the shadows use them, so this role must be allowed to.
SELECT 'EXECUTE' AS privilege, 'FUNCTION' AS kind, p.oid::regprocedure::text AS object, has_function_privilege(p.oid, 'EXECUTE') AS allowed
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = ANY (%(sources)s::oid[]) AND NOT t.tgisinternal
UNION
SELECT 'USAGE', 'TYPE', format_type(t.oid, NULL), has_type_privilege(t.oid, 'USAGE')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = ANY (%(sources)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
UNION
SELECT 'USAGE', 'SEQUENCE', s.oid::regclass::text, has_sequence_privilege(s.oid, 'USAGE')
FROM pg_attrdef f
JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
WHERE f.adrelid = ANY (%(sources)s::oid[])
ORDER BY kind, object
