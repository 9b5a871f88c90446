-- Of the tool's triggers: which transaction wrote the trigger's catalog row, and which its function's (not the captures',
-- which are replaced when the queue rotates).
SELECT n.nspname::text, c.relname::text, t.tgname::text, t.xmin::text::bigint,
       CASE WHEN t.tgname <> ALL (%(rotated)s::text[]) THEN p.xmin::text::bigint END
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
JOIN pg_trigger t ON t.tgrelid = c.oid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal
