-- The rows of one heap that a noted value names, for a reference as text: as pair_rows.sql has them. A value that is no key names
-- nobody that could come.
SELECT r.tableoid AS o, r.ctid AS c, r.{integer} AS integer, r.{uuid} AS uuid, n.new_integer, n.new_uuid,
       (r.{integer}::text, r.{uuid}::text) IS DISTINCT FROM (n.new_integer::text, n.new_uuid::text) AS wrong,
       ({key} IS NULL OR {other} IS NOT NULL) AS known
FROM {heap} r CROSS JOIN LATERAL (SELECT {new_integer} AS new_integer, {new_uuid} AS new_uuid) n
WHERE {among}{more}
