-- Of an integer column that goes: how many integers it holds, and how many of them have no uuid beside them.
SELECT count(*) AS integers, count(*) FILTER (WHERE r.{uuid} IS NULL) AS alone FROM {table} r WHERE r.{integer} IS NOT NULL
