-- Which server and database a session has reached. A base backup has the system identifier of its origin, and the names of its
-- databases; only the start of its postmaster differs.
SELECT (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)::pg_catalog.text AS system,
       pg_catalog.current_database()::pg_catalog.text AS database,
       EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())::pg_catalog.text AS started,
       pg_catalog.pg_is_in_recovery()::pg_catalog.text AS standby
