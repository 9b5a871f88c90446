-- Text columns that may hold keys of several types: object_id beside object_type, or beside a key of a table of types
-- (content_type_id, with the table that it refers to).
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS column, p.attname::text AS type_column,
       greatest(c.reltuples, 0)::bigint AS rows_estimate, tn.nspname::text AS type_schema, t.relname::text AS type_relation,
       k.attname::text AS type_key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_attribute p ON p.attrelid = c.oid AND p.attnum > 0 AND NOT p.attisdropped
LEFT JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' AND f.conkey = ARRAY[p.attnum]
LEFT JOIN pg_class t ON t.oid = f.confrelid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute k ON k.attrelid = t.oid AND k.attnum = f.confkey[1]
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> %(state_schema)s
  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND a.attgenerated = '' AND a.attname ~* '(id|pk)$'
  AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conrelid = c.oid AND x.contype = 'f' AND a.attnum = ANY (x.conkey))
  AND (p.atttypid IN ('text'::regtype, 'varchar'::regtype) AND lower(p.attname) = lower(regexp_replace(a.attname, '(id|pk)$', 'type', 'i'))
       OR p.attname ~* 'type_id$' AND k.attname IS NOT NULL)
ORDER BY schema, relation, "column"
