-- Why an attempt could not succeed, or should not be made, right now: kind, table, one line that names the session, the
-- time and the work, and the text of its query, which is shown only where an operator asks for it. `yields`: it may make way (cutover/obstacles.py). A prepared transaction keeps the virtual id of the session
-- that prepared it until the server restarts ('-1/xid' only afterwards: src/backend/access/transam/twophase.c,
-- MarkAsPreparingGuts), so its locks are found by the one that it holds on its own transaction id.
SELECT 'prepared' AS kind, n.nspname::text AS schema, c.relname::text AS name,
       format('prepared transaction %%s holds a lock on %%s, for %%s since %%s (COMMIT PREPARED or ROLLBACK PREPARED ends it)',
              p.gid, l.relation::regclass, p.owner, date_trunc('second', p.prepared)) AS line,
       l.pid, '' AS query
FROM pg_prepared_xacts p
JOIN pg_locks x ON x.locktype = 'transactionid' AND x.transactionid = p.transaction AND x.granted AND x.pid IS NULL
JOIN pg_locks l ON l.virtualtransaction = x.virtualtransaction AND l.pid IS NULL
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.database = current_database() AND l.relation = ANY (%(oids)s::oid[])
UNION
SELECT CASE WHEN a.backend_type IS NULL OR a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%%to prevent wraparound%%'
            THEN 'yields' ELSE 'stays' END,
       n.nspname::text, c.relname::text,
       format('%%s works on %%s%%s%%s%%s',
              CASE WHEN a.backend_type IS NULL THEN format('pid %%s (GRANT pg_monitor to see what it does)', l.pid)
                   WHEN a.backend_type = 'client backend' THEN format('pid %%s %%s (%%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no application_name'))
                   WHEN a.query LIKE '%%to prevent wraparound%%' THEN format('autovacuum to prevent wraparound, pid %%s,', a.pid)
                   ELSE format('%%s, pid %%s,', a.backend_type, a.pid) END,
              l.relation::regclass, ' since ' || date_trunc('second', a.query_start),
              ': ' || CASE WHEN a.backend_type = 'client backend' THEN coalesce(
                          (SELECT i.command FROM pg_stat_progress_create_index i WHERE i.pid = l.pid LIMIT 1),
                          (SELECT 'VACUUM' FROM pg_stat_progress_vacuum v WHERE v.pid = l.pid LIMIT 1),
                          (SELECT 'ANALYZE' FROM pg_stat_progress_analyze y WHERE y.pid = l.pid LIMIT 1))
                          ELSE left(a.query, 120) END,
              (SELECT ', which waits for pid ' || string_agg(b.pid::text, ', ') FROM unnest(pg_blocking_pids(l.pid)) b(pid))),
       l.pid, CASE WHEN a.backend_type = 'client backend' THEN coalesce(left(a.query, 120), '') ELSE '' END
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND l.mode = 'ShareUpdateExclusiveLock' AND l.relation = ANY (%(oids)s::oid[]) AND l.pid <> pg_backend_pid()
ORDER BY 4
