-- What the given tables inherit from, and what inherits from them. `partition`: of a partitioned table.
SELECT i.inhparent::bigint AS parent_oid, i.inhrelid::bigint AS child_oid, pn.nspname AS parent_schema, p.relname AS parent_name,
       cn.nspname AS child_schema, c.relname AS child_name, c.relispartition AS partition
FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
WHERE p.relkind IN ('r', 'p', 'f') AND (i.inhparent = ANY (%(oids)s::oid[]) OR i.inhrelid = ANY (%(oids)s::oid[]))
ORDER BY pn.nspname, p.relname, cn.nspname, c.relname
