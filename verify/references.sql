-- All references of one slice, by number: rows, those the reference applies to, pairs that are not one row of the live
-- table, rows without a uuid, orphans, and where the first wrong pairs stand. The keys are joined once for all of them.
-- `orphan`: one is nobody's, and the other is missing or nobody's too (a row that was deleted, or never was, where no
-- foreign key forbids it); an integer that is somebody's needs that row's uuid, and a uuid that row's integer.
SELECT v.n, count(*), count(*) FILTER (WHERE v.applies), count(*) FILTER (WHERE v.verdict = 'wrong'),
       count(*) FILTER (WHERE v.applies AND v.u IS NULL), count(*) FILTER (WHERE v.verdict = 'orphan'),
       ((array_agg(v.place) FILTER (WHERE v.verdict = 'wrong'))[:{limit}])::text[]
FROM (
    SELECT r.n, r.place, r.applies, r.u,
           CASE WHEN NOT r.applies OR (r.i IS NULL AND r.u IS NULL) OR l.u = r.u THEN NULL
                WHEN l.i IS NULL AND (r.u IS NULL OR NOT EXISTS (SELECT FROM {live} x WHERE x.{live_uuid} = r.u)) THEN 'orphan'
                ELSE 'wrong' END AS verdict
    FROM ({rows}) r
    LEFT JOIN (SELECT s.{live_integer}::bigint AS i, s.{live_uuid} AS u FROM {live} s) l ON l.i = r.i
) v
GROUP BY v.n
