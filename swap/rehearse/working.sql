-- How much WAL there is, in bytes, and which sessions of swap run a statement: their names, and the number of the first table of the
-- migration that the statement names (0: none). `tables`: as statements write them.
SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8 AS wal_bytes,
       COALESCE(pg_catalog.array_agg(a.application_name::text) FILTER (WHERE a.pid IS NOT NULL), '{}') AS applications,
       COALESCE(pg_catalog.array_agg(COALESCE(named.number, 0)::int) FILTER (WHERE a.pid IS NOT NULL), '{}') AS numbers
  FROM (VALUES (0)) one(row)
  LEFT JOIN pg_catalog.pg_stat_activity a
    ON a.datname = pg_catalog.current_database() AND a.state = 'active'
   AND a.wait_event_type IS DISTINCT FROM 'Lock'  -- a wait does not grow with the rows
   AND a.application_name LIKE 'swap %%' AND a.application_name NOT LIKE 'swap rehearse%%'
  LEFT JOIN LATERAL (SELECT pg_catalog.min(t.number) AS number FROM pg_catalog.unnest(%(tables)s::text[]) WITH ORDINALITY t(name, number)
                      WHERE pg_catalog.strpos(a.query, t.name) > 0) named ON true
