-- Objects that use the sequence of an identity column of the tables. That sequence is dropped and made anew.
SELECT i.refobjid::bigint AS table_oid, a.attname::text AS column, s.oid::regclass::text AS sequence, pg_describe_object(d.classid, d.objid, d.objsubid) AS user
FROM pg_depend i
JOIN pg_class s ON s.oid = i.objid AND s.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = i.refobjid AND a.attnum = i.refobjsubid
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass AND i.deptype = 'i' AND i.refobjid = ANY (%(sources)s::oid[])
  AND d.deptype <> 'i'
ORDER BY "column", "user"
