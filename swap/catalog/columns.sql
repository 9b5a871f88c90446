-- The columns of the tables, in the order of their numbers.
SELECT a.attrelid::bigint AS of_oid, a.attname AS name, a.attnum::int, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       pg_get_expr(d.adbin, d.adrelid) AS default, a.attidentity::text AS identity, a.attgenerated::text AS generated,
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
                  FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END AS collation,
       CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END AS storage,
       nullif(a.attcompression::text, '') AS compression,
       nullif(coalesce(a.attstattarget, -1)::int, -1) AS statistics,
       coalesce((SELECT array_agg(o ORDER BY n) FROM unnest(a.attoptions) WITH ORDINALITY u(o, n) WHERE o !~ '^pg_'), '{}'::text[]) AS options,  -- without the server's own mark of a column (15.20: pg_attver)
       col_description(a.attrelid, a.attnum) AS comment,
       nn.conname AS not_null_name,
       bt.typname AS base_type, bt.typtype::text AS base_kind,
       coalesce((SELECT co.collisdeterministic FROM pg_collation co WHERE co.oid = a.attcollation), true) AS deterministic,
       coalesce(obj_description(nn.oid, 'pg_constraint'), '') AS not_null_comment, NOT coalesce(nn.connoinherit, false) AS not_null_inherited
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type bt ON bt.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_constraint nn ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum]
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
