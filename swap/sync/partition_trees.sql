-- The partitions of the given tables as they are now, upper levels first. `label`: as the recorded structure calls the partition.
-- pg_partition_tree would take ACCESS SHARE on each, and wait behind a job that drops one; this reads the catalog alone.
WITH RECURSIVE tree AS (
    SELECT r.schema AS root_schema, r.name AS root_name, c.oid, 0 AS level FROM unnest(%(schemas)s::text[], %(names)s::text[]) r(schema, name)
    JOIN pg_namespace n ON n.nspname = r.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.name
    UNION ALL
    SELECT t.root_schema, t.root_name, i.inhrelid, t.level + 1 FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid AND NOT i.inhdetachpending
)
SELECT t.root_schema, t.root_name, n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid, c.oid::regclass::text AS label,
       ARRAY(SELECT g.oid::bigint FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgparentid <> 0 ORDER BY g.oid) AS attached
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.level > 0 ORDER BY t.root_schema, t.root_name, t.level, c.oid::regclass::text
