-- Before the cutover: the rows that refer to some keys of the source, and whose uuid on the maintained side is not the one of that
-- key. The uuid of each key is looked up once.
SELECT {key} AS key, {absent} AS missing, false AS extra
FROM (SELECT w.{given}, {value} AS v FROM unnest({keys}) w({given}) OFFSET 0) w
JOIN {origin} s ON s.{given} = w.{given} LEFT JOIN {target} t ON {equal}
WHERE t.{column} IS DISTINCT FROM w.v
