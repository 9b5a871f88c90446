-- The indexes of the tables. `definition` is the text from USING on: it names columns, and neither the table nor the index.
-- pg_get_indexdef prints no tablespace; its place is before WHERE.
SELECT i.indrelid::bigint AS of_oid, c.relname AS name, i.indisunique AS unique, i.indisprimary AS primary, i.indisvalid AND i.indisready AS valid,
       i.indisexclusion AS exclusion, left(x.tail, length(x.tail) - length(x.predicate)) || x.space || x.predicate AS definition,
       k.conname AS constraint, k.contype::text AS constraint_type, coalesce(k.condeferrable, false) AS deferrable, coalesce(k.condeferred, false) AS deferred,
       (SELECT coalesce(array_agg(DISTINCT x.attname ORDER BY x.attname), '{}')::text[] FROM (
            SELECT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
            UNION
            SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) x) AS columns,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY o.n), '{}')::text[]
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY o(num, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.num WHERE o.n <= i.indnkeyatts) AS key_columns,
       i.indpred IS NOT NULL AS partial, i.indexprs IS NOT NULL AS expressions,
       coalesce(obj_description(i.indexrelid, 'pg_class'), '') AS comment,
       coalesce(obj_description(k.oid, 'pg_constraint'), '') AS constraint_comment,
       i.indisclustered AS clustered, i.indisreplident AS replident, pg_relation_size(i.indexrelid) AS size_bytes,
       CASE WHEN i.indisexclusion THEN pg_get_constraintdef(k.oid) ELSE '' END AS exclusion_definition, coalesce(ts.spcname, '') AS tablespace,
       ARRAY(SELECT a.attnum::int FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND coalesce(a.attstattarget, -1) <> -1
             ORDER BY a.attnum) AS statistics_columns,
       ARRAY(SELECT a.attstattarget::int FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND coalesce(a.attstattarget, -1) <> -1
             ORDER BY a.attnum) AS statistics_targets,
       ARRAY(SELECT o.name::text FROM pg_inherits h JOIN pg_class hc ON hc.oid = h.inhparent JOIN pg_namespace hn ON hn.oid = hc.relnamespace,
             LATERAL (VALUES (1, hn.nspname), (2, hc.relname)) o(n, name) WHERE h.inhrelid = i.indexrelid ORDER BY o.n) AS parent,
       CASE WHEN k.contype IN ('p', 'u')
            THEN regexp_replace(pg_get_constraintdef(k.oid), '( DEFERRABLE)?( INITIALLY DEFERRED)?$', '') ELSE '' END AS constraint_definition
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class tc ON tc.oid = i.indrelid
JOIN pg_namespace tn ON tn.oid = tc.relnamespace
LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
CROSS JOIN LATERAL (
    SELECT substr(pg_get_indexdef(i.indexrelid),
                  length(format('CREATE %%sINDEX %%I ON %%s%%I.%%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
                                c.relname, CASE WHEN tc.relkind = 'p' THEN 'ONLY ' ELSE '' END,
                                CASE WHEN tn.oid = pg_my_temp_schema() THEN 'pg_temp' ELSE tn.nspname END, tc.relname)) + 1) AS tail,
           coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
           coalesce(' TABLESPACE ' || quote_ident(ts.spcname), '') AS space) x
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = ANY (%(oids)s::oid[])
ORDER BY i.indrelid, c.relname
