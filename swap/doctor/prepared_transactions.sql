-- Transactions of this database that are prepared for two-phase commit.
SELECT gid, owner::text, extract(epoch FROM now() - prepared)::float8 AS age_s
FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared
