SELECT {column}::text AS value, count(*) AS rows FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1 LIMIT 3
