-- Rows of one range, and the sums of both halves of each row's MD5: 128 bits a row, in any order of the rows.
SELECT count(*) AS rows, coalesce(sum(('x' || substr(d.h, 1, 16))::bit(64)::bigint), 0) AS high,
       coalesce(sum(('x' || substr(d.h, 17))::bit(64)::bigint), 0) AS low
FROM (SELECT md5(ROW({columns})::text) AS h FROM {table} s WHERE {where}) d
