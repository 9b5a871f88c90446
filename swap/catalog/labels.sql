-- Security labels of tables and their columns. `attname` is null for the table's own.
SELECT l.objoid::bigint, l.provider, l.label, a.attname::text
FROM pg_seclabel l LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
WHERE l.classoid = 'pg_class'::regclass AND l.objoid = ANY (%(oids)s::oid[]) ORDER BY l.objoid, l.objsubid, l.provider
