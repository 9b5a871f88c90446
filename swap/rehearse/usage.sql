-- Where the WAL stands, as a number of bytes, and how large the database is.
SELECT (pg_catalog.pg_current_wal_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8 AS wal_bytes,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS size_bytes
