-- Views and functions that are bound to the given tables, or to such a view or function, as lines. The exchange creates them again
-- by the plan's text: so they must still be as they were when the plan was made.
WITH RECURSIVE dependent(classid, oid) AS (
    SELECT 'pg_class'::regclass::oid, o FROM unnest({oids}::oid[]) o
    UNION
    SELECT x.classid, x.oid FROM dependent f
    LEFT JOIN pg_class fc ON f.classid = 'pg_class'::regclass AND fc.oid = f.oid
    LEFT JOIN pg_type ft ON ft.oid = fc.reltype
    CROSS JOIN LATERAL (VALUES (f.classid, f.oid), ('pg_type'::regclass::oid, ft.oid), ('pg_type'::regclass::oid, ft.typarray)) t(classid, objid)
    JOIN pg_depend d ON d.refclassid = t.classid AND d.refobjid = t.objid
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
    CROSS JOIN LATERAL (VALUES (CASE WHEN v.oid IS NOT NULL THEN 'pg_class'::regclass::oid ELSE d.classid END, coalesce(v.oid, d.objid))) x(classid, oid)
    WHERE v.oid IS NOT NULL OR d.classid = 'pg_proc'::regclass
)
SELECT c.oid::regclass::text AS tab, x.line FROM dependent f JOIN pg_class c ON f.classid = 'pg_class'::regclass AND c.oid = f.oid AND c.relkind IN ('v', 'm'),
LATERAL (
    SELECT format('view %s%s', CASE c.relkind WHEN 'm' THEN 'materialized ' ELSE '' END, pg_get_viewdef(c.oid)) AS line
    UNION ALL SELECT format('view owner=%s options=%s acl=%s', pg_get_userbyid(c.relowner), c.reloptions, c.relacl)
    UNION ALL
    SELECT format('default of %I %s acl=%s', a.attname, pg_get_expr(d.adbin, d.adrelid), a.attacl)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND (d.oid IS NOT NULL OR a.attacl IS NOT NULL)
    UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
    UNION ALL SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
    UNION ALL SELECT format('%s cluster=%s', pg_get_indexdef(i.indexrelid), i.indisclustered) FROM pg_index i WHERE i.indrelid = c.oid
) x
UNION ALL
SELECT p.oid::regprocedure::text, format('%s owner=%s acl=%s', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE 'aggregate' END, pg_get_userbyid(p.proowner), p.proacl)
FROM dependent f JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.oid
ORDER BY 1, 2
