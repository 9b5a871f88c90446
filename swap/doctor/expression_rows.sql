-- How many rows of a table fulfil the condition, which evaluates an expression of the application's.
SELECT pg_catalog.count(*) AS rows FROM ONLY {table} WHERE {where}
