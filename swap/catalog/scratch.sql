-- The scratch table: the list of its extended statistics, and its condition with the columns in it, as the server prints them now.
SELECT c.oid::bigint,
       (SELECT pg_get_statisticsobjdef_columns(s.oid) FROM pg_statistic_ext s WHERE s.stxrelid = c.oid) AS statistics,
       pg_get_expr(k.conbin, k.conrelid) AS condition,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS condition_columns
FROM pg_class c LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = 'swap_trial_check'
WHERE c.oid = 'pg_temp.swap_trial'::regclass
