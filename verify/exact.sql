-- The full join `joined` of one range: rows of each side, how many differ in which way, and the first keys of each kind. A key of
-- several columns is an array, and then the keys are an array of two dimensions.
SELECT q.origin_rows, q.target_rows, coalesce(array_length(q.m, 1), 0) AS missing, coalesce(array_length(q.x, 1), 0) AS extra,
       coalesce(array_length(q.c, 1), 0) AS different, q.m[:{limit}] || q.x[:{limit}] || q.c[:{limit}] AS keys
FROM (
    SELECT count(a.k0) AS origin_rows, count(b.k0) AS target_rows,
           array_agg({origin_key}) FILTER (WHERE b.k0 IS NULL) AS m, array_agg({target_key}) FILTER (WHERE a.k0 IS NULL) AS x,
           array_agg({origin_key}) FILTER (WHERE {changed}) AS c
    FROM {joined}
) q
