-- The rules of the given tables. `event`: pg_rewrite.ev_type. `columns`: of the table, those that it names. `row`: it uses the whole row.
SELECT r.ev_class::bigint AS table_oid, r.rulename::text AS name, r.ev_type::text AS event, r.ev_enabled::text AS enabled,
       ARRAY(SELECT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = r.ev_class
             ORDER BY a.attnum) AS columns,
       r.ev_action::text ~ ':varattno 0 ' OR coalesce(r.ev_qual::text ~ ':varattno 0 ', false) AS row
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.ev_class = ANY (%(oids)s::oid[]) AND c.relkind IN ('r', 'p')
ORDER BY r.ev_class, r.rulename
