-- Subscriptions of this database that apply into one of the tables.
SELECT s.subname::text AS name, s.subenabled AS enabled, r.srrelid::bigint AS table_oid, r.srrelid::regclass::text AS table
FROM pg_subscription s JOIN pg_subscription_rel r ON r.srsubid = s.oid
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND r.srrelid = ANY (%(oids)s::oid[])
ORDER BY s.subname, r.srrelid
