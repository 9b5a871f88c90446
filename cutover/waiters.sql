-- How many sessions wait for a relation that a session holds or asks for, and the longest wait since it began to (ms).
SELECT count(*)::int AS sessions,
       coalesce(1000 * extract(epoch FROM max(clock_timestamp() - greatest(coalesce(w.waitstart, clock_timestamp()), a.xact_start))), 0)::float8 AS longest_ms
FROM pg_locks w, (SELECT s.xact_start FROM pg_stat_activity s WHERE s.pid = %(pid)s) a
WHERE NOT w.granted AND w.locktype = 'relation' AND w.pid <> %(pid)s
  AND w.relation IN (SELECT g.relation FROM pg_locks g WHERE g.pid = %(pid)s AND g.locktype = 'relation')
