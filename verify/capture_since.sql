-- Of the triggers on these tables: the transaction that wrote the trigger's row in the catalog, and the one that wrote its
-- function's. The rotation of the queue replaces the capture functions, so they have none.
SELECT n.nspname::text AS schema, c.relname::text AS table, t.tgname::text AS trigger, t.xmin::text::bigint AS trigger_xid,
       CASE WHEN t.tgname <> ALL (%(rotated)s::text[]) THEN p.xmin::text::bigint END AS function_xid
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
JOIN pg_trigger t ON t.tgrelid = c.oid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal
