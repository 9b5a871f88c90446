-- What the server and the role say about themselves, in one row.
SELECT current_user::text, current_database()::text, pg_backend_pid(), pg_is_in_recovery(),
       r.rolsuper OR r.rolreplication,
       current_setting('wal_level'), current_setting('max_replication_slots')::int,
       (SELECT count(*) FROM pg_replication_slots)::int,
       current_setting('max_locks_per_transaction')::int
         * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int),
       has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMP'),
       pg_has_role('pg_read_all_stats', 'USAGE'), pg_has_role('pg_signal_backend', 'USAGE'),
       CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END,
       has_parameter_privilege('session_replication_role', 'SET')
FROM pg_roles r WHERE r.rolname = current_user
