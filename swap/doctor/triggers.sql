-- Constraint triggers FROM the source, on tables that are no part of the run.
SELECT n.nspname, c.relname, t.tgname::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgconstrrelid = %(source)s AND NOT t.tgisinternal AND NOT t.tgrelid = ANY (%(oids)s::oid[])
ORDER BY 1, 2, 3
