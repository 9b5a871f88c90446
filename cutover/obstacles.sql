-- Why an attempt could not succeed, or should not be made, right now: one line each. A prepared transaction keeps the
-- virtual id of the session that prepared it until the server restarts ('-1/xid' only afterwards: src/backend/access/transam/
-- twophase.c, MarkAsPreparingGuts), so its locks are found by the one that it holds on its own transaction id.
SELECT format('prepared transaction %%s holds a lock on %%s (COMMIT PREPARED or ROLLBACK PREPARED ends it)', p.gid, l.relation::regclass)
FROM pg_prepared_xacts p
JOIN pg_locks x ON x.locktype = 'transactionid' AND x.transactionid = p.transaction AND x.granted AND x.pid IS NULL
JOIN pg_locks l ON l.virtualtransaction = x.virtualtransaction AND l.pid IS NULL
WHERE p.database = current_database() AND l.relation = ANY (%(oids)s::oid[])
UNION
SELECT format('%%s of %%s (pid %%s) works on %%s', CASE WHEN a.backend_type = 'autovacuum worker' THEN 'autovacuum to prevent wraparound'
              ELSE 'CREATE INDEX CONCURRENTLY or VACUUM' END, coalesce(a.usename, a.backend_type), a.pid, l.relation::regclass)
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.mode = 'ShareUpdateExclusiveLock' AND l.relation = ANY (%(oids)s::oid[]) AND a.pid <> pg_backend_pid()
  AND (a.backend_type <> 'autovacuum worker' OR a.query LIKE '%%to prevent wraparound%%')
ORDER BY 1
