-- The columns of a table that a statement may write. `always`: GENERATED ALWAYS AS IDENTITY, which an UPDATE may not.
SELECT a.attname::text AS name, a.attidentity = 'a' AS always
FROM pg_attribute a WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
