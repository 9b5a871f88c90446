-- After the cutover: rows of the maintained side with one of some integers of the source in their key, and of which the captured side
-- has no row.
SELECT {key} AS key, false AS missing, true AS extra FROM ONLY {target} t
WHERE t.{column} = ANY ({keys}) AND NOT EXISTS (SELECT FROM ONLY {origin} s WHERE {same})
