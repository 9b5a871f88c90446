-- Processes that hold a snapshot and read, or are about to read, what the planner does not see: COPY table TO (not COPY (query) TO), a pg_dump, the
-- initial copy of a subscription. An active COPY or LOCK counts where it waits for a lock, or where its transaction has begun
-- before it: then it may go on to another table in the same snapshot. `before`: only those whose snapshot may not show this transaction.
-- A pg_dump that has locked its tables reads no other one. If it has locked one of the run's, the exchange's own lock waits for it.
-- NULL, before an exchange: this role may not see it.
SELECT a.pid FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.pid <> ALL (%(own)s::int[]) AND a.backend_xmin IS NOT NULL
  AND (%(before)s::text IS NULL
       OR pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(a.backend_xmin)::numeric <= %(before)s::text::numeric)
  AND (a.application_name ~ '^pg_dump' AND (a.query ~* '^[[:space:]]*lock[[:>:]]' OR NOT EXISTS (
           SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted AND l.mode = 'AccessShareLock'
           AND l.database = a.datid AND l.relation >= 16384))
       OR a.backend_type = 'walsender' AND a.query !~* '^[[:space:]]*START_REPLICATION'
       OR a.query ~* E'^([[:space:](]|--[^\n]*\n|/[*]([^*]|[*](?!/))*[*]/)*(lock|copy[[:space:]]+[^([:space:]].*[[:<:]]to)[[:>:]]'
          AND (a.state <> 'active' OR a.wait_event_type = 'Lock' OR a.xact_start < a.query_start))
UNION ALL SELECT NULL WHERE %(before)s::text IS NULL AND NOT pg_has_role('pg_read_all_stats', 'USAGE')
ORDER BY 1
