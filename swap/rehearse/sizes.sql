-- How large the tables of the migration are: rows as the server estimates them, bytes with indexes and TOAST.
SELECT n.nspname::text || '.' || c.relname::text AS name,
       (SELECT pg_catalog.sum(GREATEST(p.reltuples, 0)) FROM pg_catalog.pg_partition_tree(c.oid) t
          JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE t.isleaf)::int8 AS leaf_rows,
       GREATEST(c.reltuples, 0)::int8 AS rows,
       (SELECT COALESCE(pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid)), 0) FROM pg_catalog.pg_partition_tree(c.oid) t)::int8
           AS tree_bytes,
       pg_catalog.pg_total_relation_size(c.oid) AS bytes
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(%(schemas)s::text[], %(tables)s::text[]) w(schema, name) ON (w.schema, w.name) = (n.nspname, c.relname)
