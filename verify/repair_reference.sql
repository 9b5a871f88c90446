-- Some rows of one referring table whose integer and uuid are not those of one row of the live table: the side that leads stays, and
-- the other follows it. A row that another session holds is passed by: nothing waits while it holds rows. Everything is named with its
-- schema: the statement runs the application's own code, under its settings.
UPDATE ONLY {table} r SET {follower} = l.{live_follower} FROM ONLY {live} l
WHERE l.{live_leader} OPERATOR(pg_catalog.=) r.{leader}
  AND r.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY {table} WHERE {wrong} LIMIT {limit} FOR UPDATE SKIP LOCKED))
