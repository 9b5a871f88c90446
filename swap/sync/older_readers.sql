-- Sessions of this database whose snapshot may not show the transaction `xid`, and standbys that say so (hot_standby_feedback): by
-- their walsender, or by its slot (src/backend/replication/walsender.c, ProcessStandbyHSFeedbackMessage). Without an id (the state of
-- a copy) every snapshot that is there counts as one. A standby that is there counts as long as the last exchange is `young`: its
-- readers are not seen without hot_standby_feedback. A physical walsender has no database.
SELECT format('pid %%s (%%s, %%s) holds a snapshot of before the exchange, since %%s', a.pid, a.usename,
              coalesce(nullif(a.application_name, ''), 'no application_name'), date_trunc('second', coalesce(a.xact_start, a.backend_start)))
FROM pg_stat_activity a
WHERE (a.datname = current_database() OR a.backend_type = 'walsender') AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
  AND (%(xid)s::text IS NULL
       OR pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(a.backend_xmin)::numeric <= %(xid)s::text::numeric)
UNION ALL
SELECT format('a standby holds a snapshot of before the exchange by the slot %%I', s.slot_name)
FROM pg_replication_slots s
WHERE s.xmin IS NOT NULL
  AND (%(xid)s::text IS NULL OR pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(s.xmin)::numeric <= %(xid)s::text::numeric)
UNION ALL
SELECT format('pid %%s sends to a standby (%%s), whose readers may hold a snapshot of before the exchange', a.pid,
              coalesce(nullif(a.application_name, ''), 'no application_name'))
FROM pg_stat_activity a WHERE %(young)s::boolean AND a.backend_type = 'walsender' AND a.datname IS NULL
ORDER BY 1
