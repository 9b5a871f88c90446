-- Sequences owned by a column of the tables: deptype a = OWNED BY (serial), i = identity; with all that makes one again.
SELECT d.refobjid::bigint, a.attname, n.nspname, s.relname, d.deptype = 'i', a.attidentity::text,
       format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
       s.relpersistence::text, obj_description(s.oid, 'pg_class'), s.oid::bigint
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND d.refobjid = ANY (%(oids)s::oid[])
ORDER BY 1, 2
