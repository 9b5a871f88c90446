-- CHECK constraints of the tables, and every foreign key into or out of them; what a partition has of a key
-- of the partitioned table belongs to that one, and so does what a key has for each partition of its target. As they were made.
SELECT k.conrelid::bigint, k.conname, k.contype::text, pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable,
       k.confrelid::bigint, rn.nspname, rc.relname, fn.nspname, fc.relname,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}')::text[] FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num),
       (SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}')::text[] FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num),
       coalesce(obj_description(k.oid, 'pg_constraint'), ''),
       k.conparentid <> 0, k.coninhcount,
       (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE rc.relispartition AND c.oid = pg_partition_root(rc.oid)),
       (SELECT c.relname FROM pg_class c WHERE rc.relispartition AND c.oid = pg_partition_root(rc.oid))
FROM pg_constraint k
JOIN pg_class rc ON rc.oid = k.conrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
LEFT JOIN pg_class fc ON fc.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
WHERE (k.contype = 'c' AND k.conrelid = ANY (%(oids)s::oid[]))
   OR (k.contype = 'f' AND (k.conrelid = ANY (%(oids)s::oid[]) OR k.confrelid = ANY (%(oids)s::oid[]))
       AND k.conparentid = 0)
ORDER BY k.oid
