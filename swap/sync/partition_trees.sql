-- The partitions of the given tables as they are now, upper levels first. `label`: as the recorded structure calls the partition.
SELECT r.schema AS root_schema, r.name AS root_name, n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid, c.oid::regclass::text AS label,
       ARRAY(SELECT g.oid::bigint FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgparentid <> 0 ORDER BY g.oid) AS attached
FROM unnest(%(schemas)s::text[], %(names)s::text[]) r(schema, name)
JOIN pg_namespace rn ON rn.nspname = r.schema JOIN pg_class rc ON rc.relnamespace = rn.oid AND rc.relname = r.name
CROSS JOIN LATERAL pg_partition_tree(rc.oid) t
JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.level > 0 ORDER BY r.schema, r.name, t.level, c.oid::regclass::text
