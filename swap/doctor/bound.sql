-- Views and SQL-standard bodies that bind single columns of the given tables, by column.
SELECT DISTINCT 'view' AS kind, r.ev_class::regclass::text AS object, w.rel::bigint AS table_oid, a.attname::text AS column
FROM unnest(%(oids)s::oid[], %(columns)s::text[]) w(rel, name)
JOIN pg_attribute a ON a.attrelid = w.rel AND a.attname = w.name
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
     AND d.refobjid = w.rel AND d.refobjsubid = a.attnum
JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> w.rel
UNION
SELECT DISTINCT 'function', d.objid::regprocedure::text, w.rel::bigint, a.attname::text
FROM unnest(%(oids)s::oid[], %(columns)s::text[]) w(rel, name)
JOIN pg_attribute a ON a.attrelid = w.rel AND a.attname = w.name
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
     AND d.refobjid = w.rel AND d.refobjsubid = a.attnum
ORDER BY kind, object, "column"
