-- The statements of this database that took most time, and how often each ran.
SELECT s.query::text AS text, pg_catalog.sum(s.calls)::pg_catalog.int8 AS calls
  FROM {view} s
 WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
 GROUP BY s.query
 ORDER BY pg_catalog.sum(s.total_exec_time) DESC
 LIMIT 1000
