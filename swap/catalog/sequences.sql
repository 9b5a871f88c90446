-- Sequences that columns of the tables own, with everything that creates them again. deptype a: OWNED BY (serial); i: identity.
SELECT d.refobjid::bigint AS of_oid, a.attname AS column, n.nspname AS schema, s.relname AS relation, d.deptype = 'i' AS identity,
       a.attidentity::text AS kind, format_type(q.seqtypid, NULL) AS type, q.seqstart AS start, q.seqincrement AS increment,
       q.seqmin AS minimum, q.seqmax AS maximum, q.seqcache AS cache, q.seqcycle AS cycle,
       s.relpersistence::text AS persistence, obj_description(s.oid, 'pg_class') AS comment, s.oid::bigint
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND d.refobjid = ANY (%(oids)s::oid[])
ORDER BY d.refobjid, a.attname
