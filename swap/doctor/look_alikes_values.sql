SELECT count(*) AS sampled, count(s.{key}) AS known FROM (
    SELECT DISTINCT v FROM (SELECT {column} AS v FROM {table} {sample} WHERE {column} IS NOT NULL LIMIT 2000) x LIMIT 200
) r LEFT JOIN {source} s ON s.{key} = r.v
