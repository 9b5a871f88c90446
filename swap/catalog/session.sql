-- The database that is read, and the role that reads it.
SELECT current_database()::text AS database, current_user::text AS role
