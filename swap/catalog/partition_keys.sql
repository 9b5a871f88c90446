-- Each foreign key of the given partitioned tables, with its part on each partition that holds rows.
WITH RECURSIVE part AS (
    SELECT k.oid, k.oid AS root, k.conrelid FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'p'
    WHERE k.contype = 'f' AND k.conrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT k.oid, p.root, k.conrelid FROM part p JOIN pg_constraint k ON k.conparentid = p.oid AND k.conrelid <> p.conrelid
)
SELECT r.conrelid::bigint AS of_oid, r.conname AS name, n.nspname AS schema, c.relname AS relation, k.conname AS part_name
FROM part p JOIN pg_constraint r ON r.oid = p.root JOIN pg_constraint k ON k.oid = p.oid
JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname
