-- Columns that foreign keys of the rebuilt tables to other tables point to, and whether this role may create such a foreign key again.
SELECT DISTINCT k.confrelid::bigint AS target_oid, k.conname::text AS constraint, a.attname::text AS column,
       has_column_privilege(k.confrelid, a.attnum, 'REFERENCES') AS allowed
FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)
WHERE k.contype = 'f' AND k.conrelid = ANY (%(sources)s::oid[]) AND k.confrelid <> k.conrelid
ORDER BY "constraint", "column"
