-- The rows among some keys that differ, with the numbers of their columns; then the keys that a side has more than once.
SELECT {key} AS key,
       CASE WHEN b.k0 IS NULL THEN 'missing' WHEN a.k0 IS NULL THEN 'extra' ELSE 'different' END AS kind,
       CASE WHEN a.k0 IS NULL OR b.k0 IS NULL THEN '{{}}' ELSE array_remove(ARRAY[{differs}]::int[], NULL) END AS columns
FROM {joined} WHERE a.k0 IS NULL OR b.k0 IS NULL OR {changed}
UNION ALL
SELECT {surplus_key}, 'missing', '{{}}' FROM (SELECT {origin_columns} FROM {origin} s WHERE {origin_among}) s
GROUP BY {columns} HAVING count(*) > 1
UNION ALL
SELECT {surplus_key}, 'extra', '{{}}' FROM (SELECT {target_columns} FROM {target} s WHERE {target_among}) s
GROUP BY {columns} HAVING count(*) > 1
