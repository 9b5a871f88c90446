-- CHECK constraints of the tables, and every foreign key into or out of them, in the order in which they were made. Not a
-- partition's part of its table's key, and not the parts that a key has for each partition of its target.
SELECT k.conrelid::bigint AS of_oid, k.conname AS name, k.contype::text AS kind, pg_get_constraintdef(k.oid) AS definition,
       k.convalidated AS validated, k.condeferrable AS deferrable,
       rn.nspname AS schema, rc.relname AS relation, fn.nspname AS target_schema, fc.relname AS target_relation,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}')::text[] FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num) AS columns,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}')::text[] FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num) AS target_columns,
       coalesce(obj_description(k.oid, 'pg_constraint'), '') AS comment, k.conparentid <> 0 OR k.coninhcount > 0 AS inherited,
       tn.nspname AS root_schema, tc.relname AS root_relation
FROM pg_constraint k
JOIN pg_class rc ON rc.oid = k.conrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
LEFT JOIN pg_class fc ON fc.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
LEFT JOIN pg_class tc ON rc.relispartition AND tc.oid = pg_partition_root(rc.oid) LEFT JOIN pg_namespace tn ON tn.oid = tc.relnamespace
WHERE (k.contype = 'c' AND k.conrelid = ANY (%(oids)s::oid[]))
   OR (k.contype = 'f' AND (k.conrelid = ANY (%(oids)s::oid[]) OR k.confrelid = ANY (%(oids)s::oid[]))
       AND k.conparentid = 0)
ORDER BY k.oid
