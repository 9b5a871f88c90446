-- Publications of the tables: those that list them, with column list and row filter; those of their schema; those of all tables.
SELECT c.oid::bigint AS of_oid, p.pubname::text AS name, pg_get_userbyid(p.pubowner)::text AS owner, pg_has_role(p.pubowner, 'USAGE') AS owned,
       CASE WHEN pr.oid IS NOT NULL THEN 'table' WHEN p.puballtables THEN 'all' ELSE 'schema' END AS kind,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum = ANY (pr.prattrs::int2[])), '{}') AS columns,
       pg_get_expr(pr.prqual, pr.prrelid) AS filter,
       -- The columns of the filter. pg_depend does not distinguish them from those of the column list.
       coalesce((SELECT array_agg(DISTINCT a.attname::text ORDER BY a.attname::text)
                 FROM regexp_matches(pr.prqual::text, ':varattno (\d+)', 'g') m
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = m[1]::int), '{}') AS filter_columns
FROM pg_class c CROSS JOIN pg_publication p
LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = c.oid
WHERE c.oid = ANY (%(oids)s::oid[])
  AND (pr.oid IS NOT NULL OR p.puballtables
       OR EXISTS (SELECT FROM pg_publication_namespace pn WHERE pn.pnpubid = p.oid AND pn.pnnspid = c.relnamespace))
ORDER BY c.oid, p.pubname
