-- A VIRTUAL column, computed for the rows of a range of the heap, under the application's settings.
SELECT pg_catalog.count(s.{column}) FROM ONLY {table} s
WHERE s.ctid OPERATOR(pg_catalog.>=) {low}::pg_catalog.tid AND s.ctid OPERATOR(pg_catalog.<=) {high}::pg_catalog.tid
