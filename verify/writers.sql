-- By table: roles that could write to it, and sessions that write to it now, except its owner and the sessions that replay (those hold
-- the lock `worker`).
SELECT c.oid::bigint, format('%s may %s', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
              string_agg(DISTINCT a.privilege_type, ', ')) AS writer
FROM pg_class c,
     LATERAL (SELECT (aclexplode(c.relacl)).* UNION ALL
              SELECT (aclexplode(t.attacl)).* FROM pg_attribute t WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
WHERE c.oid = ANY ({oids}::oid[]) AND a.grantee <> c.relowner AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
GROUP BY c.oid, a.grantee
UNION ALL
SELECT l.relation::bigint, format('%s (pid %s, %s) is writing to it',
              coalesce(nullif(s.application_name, ''), 'a session'), l.pid, coalesce(s.usename, '?'))
FROM pg_locks l LEFT JOIN pg_stat_activity s USING (pid)
WHERE l.locktype = 'relation' AND l.relation = ANY ({oids}::oid[]) AND l.granted AND l.mode = 'RowExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND NOT EXISTS (SELECT FROM {lock} w WHERE w.pid = l.pid AND w.name = {worker} AND w.tag = {tag} AND w.role = s.usesysid::bigint
                      AND (w.began = s.backend_start) IS NOT FALSE)
