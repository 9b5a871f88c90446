-- Integer columns that are in no foreign key and are not the primary key of their table, with the text-like column beside them that
-- makes a pair polymorphic (x_id and x_type).
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS column, p.attname::text AS type_column,
       greatest(c.reltuples, 0)::bigint AS rows_estimate
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN (pg_attribute p JOIN pg_type pt ON pt.oid = p.atttypid AND (pt.typcategory = 'S' OR pt.typtype = 'e'))
       ON p.attrelid = c.oid AND p.attnum > 0 AND NOT p.attisdropped AND a.attname ~* 'id$'
      AND lower(p.attname) = lower(regexp_replace(a.attname, 'id$', 'type', 'i'))
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> %(state_schema)s
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  AND a.attidentity = '' AND a.attgenerated = ''
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p' AND k.conkey = ARRAY[a.attnum])
ORDER BY schema, relation, "column"
