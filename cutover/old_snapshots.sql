-- Sessions that read with a snapshot older than the moment at which the shadow was complete.
SELECT format('pid %%s (%%s, %%s) reads with a snapshot older than the shadow''s rows, since %%s', a.pid, a.usename, a.state,
              date_trunc('second', a.xact_start))
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
  AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(a.backend_xmin)::numeric < %(complete)s::numeric
ORDER BY a.pid
