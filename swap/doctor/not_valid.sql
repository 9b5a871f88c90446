-- Constraints that are NOT VALID: they were never checked for the rows that existed, and an UPDATE of such a row has to satisfy them.
-- Not those that are NOT ENFORCED (18 and newer): they are not valid either, and the server never checks them.
SELECT k.conrelid::bigint AS table_oid, k.conname AS name,
       CASE k.contype WHEN 'n' THEN format('%%I IS NOT NULL', a.attname) ELSE pg_get_expr(k.conbin, k.conrelid) END AS expression,
       CASE WHEN k.contype = 'n' THEN a.attname::text END AS not_null_column
FROM pg_constraint k
LEFT JOIN pg_attribute a ON k.contype = 'n' AND a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.conrelid = ANY (%(oids)s::oid[]) AND k.contype IN ('c', 'n') AND NOT k.convalidated
  AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
ORDER BY k.conrelid, k.conname
