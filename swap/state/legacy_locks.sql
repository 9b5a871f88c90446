-- The sessions of a swap that is older than version 5 of the state, at work on one of these sources: it took advisory locks, by these
-- numbers. Every role can take those. So only sessions count whose role can write to the state schema.
SELECT l.pid, coalesce(nullif(a.application_name, ''), 'another session') AS application,
       CASE WHEN a.client_addr IS NOT NULL THEN ', from ' || host(a.client_addr) ELSE '' END AS address
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = ANY (%(classes)s::oid[]) AND l.objid = ANY (%(tags)s::oid[]) AND l.objsubid = 2
  AND l.pid <> pg_backend_pid() AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND has_schema_privilege(a.usesysid, %(schema)s, 'CREATE')
ORDER BY l.classid
