-- Numbers, and strings of digits, under keys whose names end as that of an id does, down to the third level of objects and arrays;
-- numbers that are elements of an array under any key.
-- `path`: the keys that lead there. The elements of an array have the path of the array, and none if the column itself is one.
WITH RECURSIVE node(path, value, level, element) AS (
    SELECT '{{}}'::text[], x.v, 0, false FROM (SELECT {column}::jsonb AS v FROM {table} {sample} WHERE {column} IS NOT NULL LIMIT 2000) x
    UNION ALL
    SELECT n.path || e.name, e.value, n.level + (e.name IS NOT NULL)::int, e.name IS NULL
    FROM node n CROSS JOIN LATERAL (
        SELECT ARRAY[o.key] AS name, o.value
        FROM jsonb_each(CASE jsonb_typeof(n.value) WHEN 'object' THEN n.value ELSE '{{}}' END) o
        UNION ALL
        SELECT NULL, i.value
        FROM jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value ELSE '[]' END) i) e
    WHERE n.level < 3 OR jsonb_typeof(n.value) = 'array'
), found AS (
    SELECT DISTINCT n.path, (n.value #>> '{{}}')::bigint AS v FROM node n
    WHERE jsonb_typeof(n.value) IN ('number', 'string') AND n.value #>> '{{}}' ~ '^-?[0-9]{{1,18}}$'
      AND (n.path[cardinality(n.path)] ~* '(id|ids|by)$' OR n.element AND (n.path = '{{}}' OR jsonb_typeof(n.value) = 'number'))
)
SELECT f.path, count(*) AS sampled, count(s.{key}) AS known FROM found f LEFT JOIN {source} s ON s.{key} = f.v GROUP BY f.path ORDER BY f.path LIMIT 200
