-- The server, the session and the role, in one row.
SELECT current_user::text AS role, current_database()::text AS database, pg_backend_pid() AS backend_pid, pg_is_in_recovery() AS standby,
       r.rolsuper OR r.rolreplication OR coalesce(pg_has_role(rds.oid, 'USAGE'), false) AS may_replicate,
       rds.oid IS NOT NULL AS replicates_by_membership,
       current_setting('wal_level') AS wal_level, current_setting('max_replication_slots')::int AS slots_max,
       (SELECT count(*) FROM pg_replication_slots)::int AS slots_used,
       current_setting('max_locks_per_transaction')::int
         * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) AS lock_slots,
       has_database_privilege(current_database(), 'CREATE') AS may_create, has_database_privilege(current_database(), 'TEMP') AS may_temp,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_stats, pg_has_role('pg_signal_backend', 'USAGE') AS may_signal,
       CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END AS data_directory,
       has_parameter_privilege('session_replication_role', 'SET') AS may_set_replica
-- Amazon RDS and Aurora give nobody the attribute: there a member of this role may use slots.
FROM pg_roles r LEFT JOIN pg_roles rds ON rds.rolname = 'rds_replication'
WHERE r.rolname = current_user
