SELECT r.c::text, r.u::text, {identity}::text
FROM (SELECT {column} AS c, {uuid} AS u FROM {table} WHERE ({where})) r
JOIN {source} s ON s.{key} = r.c
WHERE r.u IS NOT NULL AND r.u IS DISTINCT FROM {identity} LIMIT 3
