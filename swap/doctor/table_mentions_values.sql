SELECT count(*) AS rows FROM (SELECT c.{column} AS v FROM {table} c {sample} LIMIT {limit}) s WHERE {holds}
