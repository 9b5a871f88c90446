-- The rows among `keys` that differ, with the numbers of their columns; then the keys that a side has more than once.
SELECT coalesce(a.k, b.k)::bigint AS key,
       CASE WHEN b.k IS NULL THEN 'missing' WHEN a.k IS NULL THEN 'extra' ELSE 'different' END AS kind,
       CASE WHEN a.k IS NULL OR b.k IS NULL THEN '{{}}' ELSE array_remove(ARRAY[{differs}]::int[], NULL) END AS columns
FROM {joined} WHERE a.k IS NULL OR b.k IS NULL OR {changed}
UNION ALL
SELECT s.{origin_key}::bigint, 'missing', '{{}}' FROM ONLY {origin} s WHERE s.{origin_key} = ANY ({keys})
GROUP BY 1 HAVING count(*) > 1
UNION ALL
SELECT s.{target_key}::bigint, 'extra', '{{}}' FROM ONLY {target} s WHERE s.{target_key} = ANY ({keys})
GROUP BY 1 HAVING count(*) > 1
