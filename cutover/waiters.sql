SELECT count(*)::int FROM pg_locks w
WHERE NOT w.granted AND w.locktype = 'relation' AND w.pid <> %(pid)s
  AND w.relation IN (SELECT g.relation FROM pg_locks g WHERE g.pid = %(pid)s AND g.locktype = 'relation')
