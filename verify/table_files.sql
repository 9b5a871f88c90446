-- The file that holds each table's rows, and the transaction that attached a partition. TRUNCATE and every rewrite give the table another file; an exchange of names gives
-- the name another oid.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.oid::bigint AS oid, c.relfilenode::bigint AS filenode,
       (SELECT h.xmin::text::bigint FROM pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition) AS attached
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(nspname, relname)
JOIN pg_namespace n ON n.nspname = w.nspname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.relname
