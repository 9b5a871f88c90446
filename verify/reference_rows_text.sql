-- The same of a reference as text. `same`: the two columns say the same of a row that is of another type, or whose value is no key;
-- where both are keys, they are compared as those of any reference. Before the cutover a uuid counts beside an integer only. So what
-- the application wrote as a uuid before the cutover is the same value in both columns, after it and after a revert too.
SELECT {n} AS n, {number} AS number, k.place, k.i,
       CASE WHEN {either} AND k.it IS DISTINCT FROM k.ut OR k.i IS NOT NULL THEN k.u END AS u, k.applies,
       k.it IS NOT DISTINCT FROM k.ut OR k.u IS NOT NULL AND (k.i IS NOT NULL OR k.it IS NULL) AS same
FROM (
    SELECT v.place, v.it, v.ut, v.applies, CASE WHEN v.applies AND v.it ~ {is_integer} THEN v.it::bigint END AS i,
           CASE WHEN v.applies AND v.ut ~ {is_uuid} THEN v.ut::uuid END AS u
    FROM (SELECT s.ctid AS place, s.{integer}::text AS it, s.{uuid}::text AS ut, coalesce(({applies}), false) AS applies
          FROM {table} s WHERE {blocks}) v
) k
