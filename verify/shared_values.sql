-- How many values of a column are in more than one row, and a few of them.
SELECT count(*) AS number, (array_agg(g.v))[:{examples}] AS examples
FROM (SELECT {column}::text AS v FROM ONLY {table} WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1) g
