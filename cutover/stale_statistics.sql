-- Tables whose statistics are missing, or of before more than a tenth of their rows changed.
SELECT n.nspname AS schema, c.relname AS name, s.n_mod_since_analyze AS changed,
       greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm')
  AND (s.n_mod_since_analyze > greatest(c.reltuples, 0) / 10
       OR NOT EXISTS (SELECT FROM pg_stats t WHERE t.schemaname = n.nspname AND t.tablename = c.relname)
          AND greatest(c.reltuples, 0) > 0)
ORDER BY 1, 2
