-- The rows of one heap that a noted value names: as they are, and as they have to be. The leading side leads: the other one is that of
-- the row that it names. Where the leading side is empty, the other one says which row is meant. Where it names nobody, a uuid or
-- integer of a row that lives cannot be right; one of a row that is gone stays.
SELECT r.tableoid AS o, r.ctid AS c, r.{integer} AS integer, r.{uuid} AS uuid, n.new_integer, n.new_uuid,
       (r.{integer}, r.{uuid}) IS DISTINCT FROM (n.new_integer, n.new_uuid) AS wrong,
       coalesce(l.follower IS NOT NULL OR f.leader IS NOT NULL AND r.{leader} IS NULL, false) AS known
FROM {heap} r
LEFT JOIN LATERAL (SELECT t.{live_leader} AS leader, t.{live_follower} AS follower FROM ONLY {live} t WHERE t.{live_leader} = r.{leader}) l ON true
LEFT JOIN LATERAL (SELECT t.{live_leader} AS leader FROM ONLY {live} t WHERE t.{live_follower} = r.{follower}) f ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.{leader} IS NULL THEN f.leader ELSE r.{leader} END AS {new_leader},
           CASE WHEN l.leader IS NOT NULL THEN l.follower WHEN r.{leader} IS NULL OR f.leader IS NULL THEN {kept} END AS {new_follower}
) n
WHERE {among} AND {row_applies}{more}
