-- The integers and uuids of one block range of one referring table. `place` names the row: building its key for every row would
-- cost more.
SELECT {n} AS n, {number} AS number, s.ctid AS place, s.{integer}::bigint AS i, s.{uuid} AS u, coalesce(({applies}), false) AS applies, true AS same
FROM {table} s WHERE {blocks}
