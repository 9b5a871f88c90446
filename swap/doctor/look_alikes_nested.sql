-- Columns that may hold keys inside a value: arrays of integers, and documents. Not those of partitions.
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS column,
       a.atttypid IN ('json'::regtype, 'jsonb'::regtype) AS document, greatest(c.reltuples, 0)::bigint AS rows_estimate
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> %(state_schema)s
  AND a.atttypid IN ('int2[]'::regtype, 'int4[]'::regtype, 'int8[]'::regtype, 'json'::regtype, 'jsonb'::regtype)
  AND a.attgenerated = ''
ORDER BY schema, relation, "column"
