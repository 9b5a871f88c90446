-- The session that moves data now, and what the sessions of its command are called. A row whose session has ended is no worker, as
-- in lock_holder.sql. Sessions of one command have one machine, one role, and names that begin alike.
SELECT a.pid, coalesce(a.application_name, '') AS application,
       CASE WHEN a.client_addr IS NOT NULL THEN host(a.client_addr) WHEN a.client_port = -1 THEN 'local' END AS host,
       a.backend_start AS since,
       EXISTS (SELECT FROM {lock} b WHERE b.tag = l.tag AND b.pid = l.pid AND b.name = 'borrowed') AS borrowed,
       ARRAY(SELECT s.application_name || '' FROM pg_stat_get_activity(NULL) s
             WHERE s.datid = a.datid AND s.usesysid = a.usesysid AND s.pid <> a.pid AND s.client_addr IS NOT DISTINCT FROM a.client_addr
             AND starts_with(s.application_name, split_part(a.application_name, ' (', 1) || ' (') ORDER BY s.pid) AS names,
       ARRAY(SELECT s.pid FROM pg_stat_get_activity(NULL) s
             WHERE s.datid = a.datid AND s.usesysid = a.usesysid AND s.pid <> a.pid AND s.client_addr IS NOT DISTINCT FROM a.client_addr
             AND starts_with(s.application_name, split_part(a.application_name, ' (', 1) || ' (') ORDER BY s.pid) AS pids
FROM {lock} l, LATERAL pg_stat_get_activity(l.pid) a
WHERE l.name = 'worker' AND l.tag = {tag} AND l.pid <> pg_backend_pid()
  AND a.usesysid = l.role::oid AND (a.backend_start = l.began) IS NOT FALSE
  AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
