-- The table locks that sessions of swap hold now, how many other sessions wait behind each table, and the beginning of what the session
-- runs, where that is a statement of its own kind: DDL, VACUUM, ANALYZE.
SELECT a.application_name::text AS application, l.relation::bigint AS oid, n.nspname::text AS schema, c.relname::text AS "table",
       l.mode::text AS mode,
       CASE WHEN a.state = 'active' AND a.query ~* '^(create|alter|drop|vacuum|analyze|reindex|refresh|comment|grant|revoke)\M'
            THEN pg_catalog.left(a.query, %(longest)s) ELSE '' END AS query,
       (SELECT pg_catalog.count(DISTINCT w.pid) FROM pg_catalog.pg_locks w
          JOIN pg_catalog.pg_stat_activity o ON o.pid = w.pid AND o.application_name NOT LIKE 'swap %%'
         WHERE w.relation = l.relation AND w.database = l.database AND NOT w.granted)::int AS waiting
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.application_name LIKE 'swap %%' AND a.application_name NOT LIKE 'swap rehearse%%'
  JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
 WHERE l.locktype = 'relation' AND l.granted
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
   AND n.nspname !~ '^pg_temp' AND n.nspname <> %(state)s
