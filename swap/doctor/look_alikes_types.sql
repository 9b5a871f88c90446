-- The values of a type column and how many rows have each, in a sample of the rows whose other column has one.
SELECT s.v AS value, count(*) AS rows FROM (SELECT {type}::text AS v FROM {table} {sample} WHERE {column} IS NOT NULL LIMIT {limit}) s
WHERE s.v IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200
