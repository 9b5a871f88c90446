-- How many sessions of others in this database wait for a lock. Every role may see that.
SELECT count(DISTINCT a.pid)::int
FROM pg_locks w JOIN pg_stat_activity a ON a.pid = w.pid
WHERE NOT w.granted AND a.datname = current_database() AND a.pid <> ALL (ARRAY(
    SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))
