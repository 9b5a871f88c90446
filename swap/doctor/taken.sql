-- Which of the names are taken. A table takes its name among types too, by its row type. The server renames an array type that is in
-- the way.
SELECT n.nspname::text AS schema, c.relname::text AS name, 'relation' AS kind
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name)
JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
UNION
SELECT n.nspname::text, t.typname::text, 'type'
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name)
JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = w.name
WHERE t.typelem = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relname = t.typname)
ORDER BY schema, name
