SELECT count(*) FROM {table} WHERE {column} IS NULL
