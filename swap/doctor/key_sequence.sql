-- Where the key's sequence is, and the key that it comes to in the end: a key that another program gave, or an import.
SELECT s.last_value, CASE WHEN q.seqincrement > 0 THEN (SELECT max(k.{key}) FROM {table} k) ELSE (SELECT min(k.{key}) FROM {table} k) END AS furthest,
       q.seqincrement AS increment
FROM {sequence} s JOIN pg_sequence q ON q.seqrelid = {name}::regclass
