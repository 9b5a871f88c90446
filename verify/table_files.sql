-- Where each table's rows are kept: TRUNCATE and every rewrite give it another file, a swap of names another oid.
SELECT n.nspname, c.relname, c.oid::bigint, c.relfilenode::bigint
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(nspname, relname)
JOIN pg_namespace n ON n.nspname = w.nspname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.relname
