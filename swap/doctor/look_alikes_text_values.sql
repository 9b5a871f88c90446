-- The values of one type that are written as an integer, and how many of them are keys.
SELECT count(*) AS sampled, count(s.{key}) AS known FROM (
    SELECT DISTINCT v FROM (SELECT {column}::text AS v FROM {table} {sample} WHERE {where} LIMIT 2000) x WHERE v ~ '^(0|-?[1-9][0-9]{{0,17}})$' LIMIT 200
) r LEFT JOIN {source} s ON s.{key} = r.v::bigint
