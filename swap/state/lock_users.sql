-- The sessions that keep others from a table, all but this one.
SELECT DISTINCT l.pid FROM pg_locks l
WHERE l.locktype = 'relation' AND l.relation = to_regclass(%(table)s) AND l.granted AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND l.pid <> pg_backend_pid() AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
