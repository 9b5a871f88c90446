-- The table locks that this session holds, also on tables that it has dropped.
SELECT l.relation::bigint AS oid, l.mode::text AS mode
  FROM pg_catalog.pg_locks l
 WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid() AND l.granted
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
