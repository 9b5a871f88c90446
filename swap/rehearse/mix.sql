-- The columns of tables: what a row that is made up has to fill. `by_itself`: the server fills it. `unique`: a unique index holds it.
SELECT n.nspname::text AS schema, c.relname::text AS "table", a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, NULL) AS type,
       a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND (a.atttypmod = -1 OR a.atttypmod >= 84) AS is_text,
       a.atthasdef OR a.attidentity <> '' AS by_itself,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       -- An index over an expression depends on the columns in it.
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey))
           OR EXISTS (SELECT FROM pg_catalog.pg_index i
                        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                         AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
                       WHERE i.indrelid = c.oid AND i.indisunique AND i.indexprs IS NOT NULL) AS in_unique,
       EXISTS (SELECT FROM pg_catalog.pg_index i
                WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS is_key,
       EXISTS (SELECT FROM pg_catalog.pg_constraint f
                WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)) AS in_foreign_key
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN unnest(%(schemas)s::text[], %(tables)s::text[]) w(schema, name) ON (w.schema, w.name) = (n.nspname, c.relname)
 ORDER BY 1, 2, a.attnum
