-- Policies, views, functions, constraints, expressions that bind one of the integer columns; indexes and defaults go with it.
SELECT DISTINCT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname), pg_describe_object(d.classid, d.objid, d.objsubid)
FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[]) w(schema, tab, col)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.tab
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col AND NOT a.attisdropped
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
WHERE NOT (d.classid = 'pg_class'::regclass AND (SELECT x.relkind FROM pg_class x WHERE x.oid = d.objid) IN ('i', 'S'))
  AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (
        SELECT FROM pg_attrdef f WHERE f.oid = d.objid AND f.adnum = a.attnum))
  AND NOT (d.classid = 'pg_trigger'::regclass AND EXISTS (
        SELECT FROM pg_trigger t WHERE t.oid = d.objid AND (t.tgname LIKE '~swap\_guard%%' OR t.tgname LIKE '0swap\_complete%%'
                                         OR t.tgname LIKE 'swap\_capture%%')))
  AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
        SELECT FROM pg_constraint k WHERE k.oid = d.objid AND (k.contype = 'n' OR k.contype IN ('p', 'u'))))
  AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace vn ON vn.oid = v.relnamespace
                  WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND vn.nspname = %(state_schema)s)
  AND NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace pn ON pn.oid = p.pronamespace
                  WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid AND pn.nspname = %(state_schema)s)
UNION
-- The sequence of the column goes with it, and what draws from that one elsewhere.
SELECT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname), pg_describe_object(d.classid, d.objid, d.objsubid)
FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[]) w(schema, tab, col)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.tab
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col AND NOT a.attisdropped
JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = c.oid
     AND o.refobjsubid = a.attnum AND o.deptype IN ('a', 'i')
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.objid AND d.deptype = 'n'
JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S'
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
WHERE f.adrelid IS NULL OR f.adrelid <> coalesce(to_regclass(%(retired)s), 0)
ORDER BY 1, 2
