-- The session that holds one of these locks on a source: process, name, machine. A row whose session has ended holds nothing: a
-- session is known by process, beginning, role and database, so another one that got the process's number is not taken for it.
-- The server hides from other roles (without pg_monitor) when a session began, and its address.
SELECT l.pid, coalesce(nullif(a.application_name, ''), 'another session') AS application,
       CASE WHEN a.client_addr IS NOT NULL THEN ', from ' || host(a.client_addr)
            WHEN a.client_port = -1 THEN ', on the server''s own machine (Unix socket)' ELSE '' END AS address
FROM {lock} l, LATERAL pg_stat_get_activity(l.pid) a
WHERE l.name = ANY ({names}) AND (l.tag = {tag} OR {tag} IS NULL) AND l.pid <> pg_backend_pid()
  AND a.usesysid = l.role::oid AND (a.backend_start = l.began) IS NOT FALSE
  AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
ORDER BY l.name
