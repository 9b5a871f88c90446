-- Columns that may hold keys inside a value: arrays of integers, and documents. Of a partitioned table the parent only.
SELECT c.oid::bigint, n.nspname::text, c.relname::text, a.attname::text, a.atttypid IN ('json'::regtype, 'jsonb'::regtype),
       greatest(c.reltuples, 0)::bigint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> %(state_schema)s
  AND a.atttypid IN ('int2[]'::regtype, 'int4[]'::regtype, 'int8[]'::regtype, 'json'::regtype, 'jsonb'::regtype)
  AND a.attgenerated = ''
ORDER BY 2, 3, 4
