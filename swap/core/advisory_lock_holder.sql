-- The session that holds an advisory lock of this database: process, name, machine. Without pg_monitor the server hides the
-- address of other roles' sessions.
SELECT l.pid, coalesce(nullif(a.application_name, ''), 'another session') AS application,
       CASE WHEN a.client_addr IS NOT NULL THEN ', from ' || host(a.client_addr)
            WHEN a.client_port = -1 THEN ', on the server''s own machine (Unix socket)' ELSE '' END AS address
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock)s AND l.objid = %(tag)s AND l.objsubid = 2
  AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
