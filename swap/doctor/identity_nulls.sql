SELECT count(*) AS rows FROM {table} WHERE {column} IS NULL
