-- All references of one block range, by number: rows, rows to which the reference applies, rows whose integer and uuid are not
-- one row of the live table, rows without a uuid, orphans, and the ctids of the first wrong rows. The keys are joined once for
-- all references.
-- `orphan`: one key belongs to no row, and the other is missing or belongs to no row either (the row was deleted, or never
-- existed where no foreign key forbids it). An integer of an existing row needs the uuid of that row, and a uuid its integer.
-- `pending`: a wrong row that swap is about to make right: it is noted, or its parent's change is queued.
SELECT v.n, count(*) AS seen, count(*) FILTER (WHERE v.applies) AS rows, count(*) FILTER (WHERE v.verdict = 'wrong') AS wrong,
       count(*) FILTER (WHERE v.verdict = 'pending') AS pending,
       count(*) FILTER (WHERE v.applies AND v.u IS NULL AND v.verdict IS DISTINCT FROM 'pending') AS nulls,
       count(*) FILTER (WHERE v.verdict = 'orphan') AS orphans,
       ((array_agg(v.place) FILTER (WHERE v.verdict = 'wrong'))[:{limit}])::text[] AS places
FROM (
    SELECT r.n, r.place, r.applies, r.u,
           CASE WHEN NOT r.same AND r.applies AND EXISTS (SELECT FROM {noted} p WHERE p.number = r.number AND p.value IN (r.i::text, r.u::text))
                THEN 'pending'
                WHEN NOT r.same THEN 'wrong'
                WHEN NOT r.applies OR (r.i IS NULL AND r.u IS NULL) OR l.u = r.u THEN NULL
                WHEN l.i IS NULL AND (r.u IS NULL OR NOT EXISTS (SELECT FROM ONLY {live} x WHERE x.{live_uuid} = r.u)) THEN 'orphan'
                WHEN r.i = ANY ({pending}::bigint[])
                     OR (SELECT x.{live_integer}::bigint FROM ONLY {live} x WHERE x.{live_uuid} = r.u) = ANY ({pending}::bigint[])
                     OR EXISTS (SELECT FROM {noted} p WHERE p.number = r.number AND p.value IN (r.i::text, r.u::text)) THEN 'pending'
                ELSE 'wrong' END AS verdict
    FROM ({rows}) r
    LEFT JOIN (SELECT s.{live_integer}::bigint AS i, s.{live_uuid} AS u FROM ONLY {live} s) l ON l.i = r.i
) v
GROUP BY v.n
