-- Before the cutover: the rows that refer to some keys of the source, and whose uuid on the maintained side is not the one of that
-- key. The uuid of each key is looked up once.
SELECT {key} AS key, {absent} AS missing
FROM (SELECT p.{given}, {value} AS v FROM unnest({keys}) p({given}) OFFSET 0) p
JOIN {origin} s ON s.{given} = p.{given} LEFT JOIN {target} t ON {equal}
WHERE t.{column} IS DISTINCT FROM p.v
