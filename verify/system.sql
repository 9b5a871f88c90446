-- The cluster and the database: the same on a primary and on its standbys.
SELECT s.system_identifier, d.oid::bigint AS database_oid
FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
