-- After the cutover: the rows that refer to some rows of the source, as the maintained side has it or as it is now, and where the
-- two are not the same.
SELECT {key} AS key, {absent} AS missing, false AS extra
FROM {target} t JOIN {origin} s ON {equal}
WHERE t.{column} = ANY ({keys}) AND t.{column} IS DISTINCT FROM {value}
UNION
SELECT {key}, {absent}, false
FROM {live} w JOIN {origin} s ON s.{given} = w.{live_uuid} LEFT JOIN {target} t ON {equal}
WHERE w.{live_integer} = ANY ({keys}) AND t.{column} IS DISTINCT FROM w.{live_integer}
