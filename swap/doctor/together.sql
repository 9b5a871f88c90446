-- The tables with a foreign key to a table.
SELECT n.nspname AS schema, c.relname AS name
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = k.confrelid
JOIN pg_namespace s ON s.oid = t.relnamespace
WHERE k.contype = 'f' AND s.nspname = %(schema)s AND t.relname = %(name)s
