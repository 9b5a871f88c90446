-- How many sessions of others are at work on the whole server, and of how many the server does not show it.
SELECT count(*) FILTER (WHERE state = 'active' AND backend_type = 'client backend')::int AS active,
       count(*) FILTER (WHERE query = '<insufficient privilege>')::int AS hidden
FROM pg_stat_activity WHERE pid <> ALL (ARRAY(
    SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))
