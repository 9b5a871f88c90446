-- Which cluster and which database this is: the same on a primary and its standbys.
SELECT s.system_identifier, d.oid::bigint FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
