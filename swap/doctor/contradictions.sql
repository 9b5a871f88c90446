-- Some rows whose uuid is not the one of the row that their integer names.
SELECT r.c::text AS key, r.u::text AS uuid, {identity}::text AS expected
FROM (SELECT {column} AS c, {uuid} AS u FROM {table} WHERE ({where})) r
JOIN {source} s ON s.{key} = r.c
WHERE r.u IS NOT NULL AND r.u IS DISTINCT FROM {identity} LIMIT 3
