-- The number of heap blocks of a table.
SELECT pg_relation_size({table}::regclass) / current_setting('block_size')::bigint AS blocks
