-- Functions with a body of text that mentions one of the integer columns' names: nothing binds them.
SELECT DISTINCT p.oid::regprocedure::text AS function, w.col AS column
FROM unnest(%(columns)s::text[]) w(col), pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE p.prosqlbody IS NULL AND l.lanname NOT IN ('internal', 'c')
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', %(state_schema)s)
  AND p.prosrc ~* ('(^|[^[:alnum:]_])' || regexp_replace(w.col, '([^[:alnum:]_])', '\\\1', 'g') || '([^[:alnum:]_]|$)')
ORDER BY 1, 2
