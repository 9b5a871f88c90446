-- One pass over a reference: contradictions, orphans, missing uuids, uuids without an integer (H19, H21).
SELECT count(*) FILTER (WHERE s.{key} IS NOT NULL AND r.u IS NOT NULL AND r.u IS DISTINCT FROM {identity}) AS contradictions,
       count(*) FILTER (WHERE r.c IS NOT NULL AND s.{key} IS NULL) AS orphans,
       count(*) FILTER (WHERE s.{key} IS NOT NULL AND r.u IS NULL) AS missing,
       count(*) FILTER (WHERE r.c IS NULL AND r.u IS NOT NULL) AS without_integer
FROM (SELECT {column} AS c, {uuid} AS u FROM {table} WHERE ({where})) r
LEFT JOIN {source} s ON s.{key} = r.c
