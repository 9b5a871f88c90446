-- A snapshot is counted by the oldest transaction that it may not see. Snapshots of other databases see no table of this one.
UPDATE {pairs} p
SET stage = CASE WHEN p.stage = 'snapshots' THEN 'transactions' ELSE 'now' END,
    since = CASE WHEN p.stage = 'snapshots' THEN pg_snapshot_xmax(pg_current_snapshot()) END
WHERE p.stage = 'snapshots' AND NOT EXISTS (
        SELECT FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
          AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(a.backend_xmin)::numeric <= p.since::text::numeric
    )
   OR p.stage = 'transactions' AND pg_snapshot_xmin(pg_current_snapshot()) >= p.since
