-- The relations of these names.
SELECT w.schema, w.name, c.oid::bigint, c.relkind::text AS kind
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
