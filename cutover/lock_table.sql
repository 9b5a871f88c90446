-- Of the server's lock table: how many objects other sessions have locked in it, and which one has locked most (pid NULL: a
-- prepared transaction; no row: none has). What a session locks by the fast path is not in the table.
WITH held AS (SELECT DISTINCT pid, locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid, objsubid
              FROM pg_locks WHERE NOT fastpath AND mode <> 'SIReadLock' AND pid IS DISTINCT FROM pg_backend_pid())
SELECT (SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid, objsubid
                              FROM held) o) AS taken,
       pid, count(*) AS most
FROM held GROUP BY pid ORDER BY count(*) DESC LIMIT 1
