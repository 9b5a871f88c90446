-- Keys that `table` has more than once and `other` has too, with the number of rows too many.
SELECT {key} AS key, count(*) - 1 AS rows FROM (SELECT {named} FROM {table} s WHERE {where}) s GROUP BY {columns}
HAVING count(*) > 1 AND EXISTS (SELECT FROM {other} o WHERE {equal}) ORDER BY 1 LIMIT {limit}
