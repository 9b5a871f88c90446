-- Foreign keys of the tables in these schemas.
SELECT n.nspname::text AS schema, c.relname::text AS "table", k.conname::text AS name
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname = ANY (%(schemas)s::text[])
ORDER BY 1, 2, 3
