-- The ends of the keys, then the position of the sequence.
SELECT (SELECT min(k.{key}) FROM {table} k), (SELECT max(k.{key}) FROM {table} k), s.last_value, s.is_called, q.seqincrement
FROM {sequence} s JOIN pg_sequence q ON q.seqrelid = {name}::regclass
