-- The full join `joined` of one range: rows of each side, how many differ in which way, and the first keys of each kind.
SELECT q.origin_rows, q.target_rows, coalesce(cardinality(q.m), 0) AS missing, coalesce(cardinality(q.x), 0) AS extra,
       coalesce(cardinality(q.c), 0) AS different, q.m[:{limit}] || q.x[:{limit}] || q.c[:{limit}] AS keys
FROM (
    SELECT count(a.k) AS origin_rows, count(b.k) AS target_rows,
           array_agg(a.k::bigint) FILTER (WHERE b.k IS NULL) AS m, array_agg(b.k::bigint) FILTER (WHERE a.k IS NULL) AS x,
           array_agg(a.k::bigint) FILTER (WHERE {changed}) AS c
    FROM {joined}
) q
