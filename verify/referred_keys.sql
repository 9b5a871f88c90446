-- Of some rows of the captured table: the integer keys of the source that their references have now and on the maintained side.
SELECT {key} AS key, ARRAY[{now}] AS now, ARRAY[{before}] AS before
FROM {origin} s LEFT JOIN {target} t ON {equal} WHERE {among}
