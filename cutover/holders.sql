-- Sessions that hold a lock on one of the tables: their transaction, which every role may see, and what is known of them.
-- Work that obstacles.sql names is left out.
SELECT h.transaction, h.pid, coalesce(a.usename, '') AS user, coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state, coalesce(left(a.query, 200), '') AS query,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, coalesce(a.backend_type, '') AS backend_type,
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true) AS privileged,
       coalesce(a.usename = session_user AND h.pid = ANY (ARRAY(
           SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2
           AND l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))), false) AS own
FROM (SELECT l.virtualtransaction, l.pid FROM pg_locks l
      WHERE l.granted AND l.locktype = 'relation' AND l.relation = ANY (%(oids)s::oid[]) AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      GROUP BY 1, 2 HAVING bool_and(l.mode <> 'ShareUpdateExclusiveLock')) h(transaction, pid)
LEFT JOIN pg_stat_activity a ON a.pid = h.pid
ORDER BY a.xact_start, h.pid
