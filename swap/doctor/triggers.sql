-- Constraint triggers FROM a table that is rebuilt, on tables that are not in the catalog.
SELECT t.tgconstrrelid::bigint AS from_oid, n.nspname AS schema, c.relname AS relation, t.tgname::text AS trigger
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgconstrrelid = ANY (%(sources)s::oid[]) AND NOT t.tgisinternal AND NOT t.tgrelid = ANY (%(oids)s::oid[])
ORDER BY n.nspname, c.relname, t.tgname
