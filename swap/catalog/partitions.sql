-- The partitions of every level of the given tables, upper levels first.
SELECT r.oid::bigint AS of_oid, t.relid::oid::bigint AS oid
FROM unnest(%(oids)s::oid[]) r(oid), pg_partition_tree(r.oid) t
WHERE t.level > 0 ORDER BY r.oid, t.level, t.relid::regclass::text
