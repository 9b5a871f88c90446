-- Columns that may hold a table by its oid, its row type or its name: of the types themselves, of arrays and of domains over them.
-- Text and numbers only where the column's name says that it may: a scan of every column of a database would take hours.
WITH RECURSIVE base AS (
    SELECT y.oid, y.oid AS type FROM pg_type y WHERE y.typtype <> 'd'
    UNION ALL SELECT y.oid, b.type FROM pg_type y JOIN base b ON y.typtype = 'd' AND y.typbasetype = b.oid
)
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS column, k.kind, k.many,
       greatest(c.reltuples, 0)::bigint AS rows_estimate
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN base b ON b.oid = a.atttypid
JOIN (VALUES ('regclass', 'oid', false), ('oid', 'oid', false), ('regclass[]', 'oid', true), ('oid[]', 'oid', true), ('regtype', 'type', false),
             ('text', 'name', false), ('varchar', 'name', false), ('name', 'name', false), ('bpchar', 'name', false),
             ('text', 'digits', false), ('varchar', 'digits', false), ('int8', 'digits', false)) k(type, kind, many)
  ON b.type = k.type::regtype
WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> %(state_schema)s
  AND (k.kind NOT IN ('name', 'digits') OR b.type = 'int8'::regtype AND a.attname ~* '(oid|relid)$' OR b.type <> 'int8'::regtype AND a.attname ~* '(table|rel|entity|object|model|class|resource|subject|record|type|kind|source|owner)')
ORDER BY schema, relation, "column"
