-- The ends of the keys, then the position of the sequence.
SELECT (SELECT min(k.{key}) FROM {table} k) AS lowest_key, (SELECT max(k.{key}) FROM {table} k) AS highest_key,
       s.last_value, s.is_called, q.seqincrement AS increment
FROM {sequence} s JOIN pg_sequence q ON q.seqrelid = {name}::regclass
