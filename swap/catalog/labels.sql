-- Security labels of tables and their columns. `column` is null for those of the table.
SELECT l.objoid::bigint AS of_oid, l.provider, l.label, a.attname::text AS column
FROM pg_seclabel l LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
WHERE l.classoid = 'pg_class'::regclass AND l.objoid = ANY (%(oids)s::oid[]) ORDER BY l.objoid, l.objsubid, l.provider
