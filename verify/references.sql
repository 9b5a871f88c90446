-- One part of one reference: how many rows, how many pairs that are not one row of the live table, and the keys of
-- the first of those. `orphan`: the integer is nobody's, and the uuid is missing or nobody's too (a deleted row,
-- where no foreign key forbids it); an integer that is somebody's needs that row's uuid, and a uuid needs an integer.
SELECT count(*), count(*) FILTER (WHERE v.applies), count(*) FILTER (WHERE v.verdict = 'wrong'),
       count(*) FILTER (WHERE v.applies AND v.u IS NULL), count(*) FILTER (WHERE v.verdict = 'orphan'),
       (array_agg(v.key) FILTER (WHERE v.verdict = 'wrong'))[:{limit}]
FROM (
    SELECT r.key, r.applies, r.u,
           CASE WHEN NOT r.applies OR (r.i IS NULL AND r.u IS NULL) OR l.u = r.u THEN NULL
                WHEN r.i IS NOT NULL AND l.i IS NULL
                     AND (r.u IS NULL OR NOT EXISTS (SELECT FROM {live} x WHERE x.{live_uuid} = r.u)) THEN 'orphan'
                ELSE 'wrong' END AS verdict
    FROM (SELECT {key} AS key, s.{integer} AS i, s.{uuid} AS u, coalesce(({applies}), false) AS applies
          FROM {table} s WHERE {blocks}) r
    LEFT JOIN (SELECT s.{live_integer} AS i, s.{live_uuid} AS u FROM {live} s) l ON l.i = r.i
) v
