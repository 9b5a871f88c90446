-- Every foreign key into or out of the tables, and whether it is validated. A key that a partition has from its partitioned
-- table belongs to that one, and so does a key that exists for each partition of its target.
SELECT n.nspname::text AS schema, c.relname::text AS table, k.conname::text AS name, k.convalidated AS validated
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = ANY (%(oids)s::oid[]) OR k.confrelid = ANY (%(oids)s::oid[]))
ORDER BY k.oid
