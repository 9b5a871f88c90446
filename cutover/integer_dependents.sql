-- What needs one of the integer columns: what DROP COLUMN would refuse, and what it would silently take along.
WITH legacy AS (
    SELECT c.oid AS rel, a.attnum, format('%%I.%%I.%%I', n.nspname, c.relname, a.attname) AS label
    FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[]) w(schema, tab, col)
    JOIN pg_namespace n ON n.nspname = w.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.tab
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col AND NOT a.attisdropped
), bound AS (
    SELECT l.label, l.rel, l.attnum, d.classid, d.objid, d.objsubid
    FROM legacy l JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = l.rel AND d.refobjsubid = l.attnum
    UNION
    -- An index's plain columns are in pg_depend only where no constraint owns it; all of them are in pg_index.
    SELECT l.label, l.rel, l.attnum, 'pg_class'::regclass, i.indexrelid, 0
    FROM legacy l JOIN pg_index i ON i.indrelid = l.rel AND l.attnum = ANY (i.indkey::int2[])
    UNION
    -- A sequence goes with the column that owns it, and what draws from it elsewhere would fail.
    SELECT l.label, l.rel, l.attnum, d.classid, d.objid, d.objsubid
    FROM legacy l
    JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = l.rel
         AND o.refobjsubid = l.attnum AND o.deptype IN ('a', 'i')
    JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S'
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid AND d.deptype = 'n'
)
SELECT DISTINCT b.label AS column,
       CASE WHEN v.oid IS NOT NULL THEN CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || format('%%I.%%I', vn.nspname, v.relname)
            WHEN f.oid IS NOT NULL AND g.attgenerated <> '' THEN 'generated column ' || format('%%s.%%I', f.adrelid::regclass, g.attname)
            ELSE pg_describe_object(b.classid, b.objid, b.objsubid) END AS dependent
FROM bound b
LEFT JOIN pg_class x ON b.classid = 'pg_class'::regclass AND x.oid = b.objid
LEFT JOIN pg_constraint k ON b.classid = 'pg_constraint'::regclass AND k.oid = b.objid
LEFT JOIN pg_trigger t ON b.classid = 'pg_trigger'::regclass AND t.oid = b.objid
LEFT JOIN pg_statistic_ext e ON b.classid = 'pg_statistic_ext'::regclass AND e.oid = b.objid
LEFT JOIN pg_policy p ON b.classid = 'pg_policy'::regclass AND p.oid = b.objid
LEFT JOIN pg_proc r ON b.classid = 'pg_proc'::regclass AND r.oid = b.objid
LEFT JOIN pg_attrdef f ON b.classid = 'pg_attrdef'::regclass AND f.oid = b.objid
LEFT JOIN pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
LEFT JOIN pg_rewrite w ON b.classid = 'pg_rewrite'::regclass AND w.oid = b.objid
LEFT JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
LEFT JOIN pg_namespace vn ON vn.oid = v.relnamespace
LEFT JOIN pg_constraint ik ON ik.conindid = x.oid AND ik.contype IN ('p', 'u', 'x')
WHERE NOT (b.classid = 'pg_publication_rel'::regclass AND EXISTS (
          SELECT FROM pg_publication_rel pr JOIN pg_publication pu ON pu.oid = pr.prpubid
          WHERE pr.oid = b.objid AND pu.pubname = %(publication)s))
  AND coalesce(x.relkind, '') <> 'S'
  AND ik.oid IS NULL  -- its constraint is in the list
  -- What swap itself keeps there, and drops before the column or with it.
  AND NOT (x.oid IS NOT NULL AND x.relname = ANY (%(own)s::text[]))
  AND NOT (e.oid IS NOT NULL AND e.stxname = ANY (%(own)s::text[]))
  AND NOT (k.oid IS NOT NULL AND (k.contype = 'n' OR k.conname = ANY (%(own)s::text[])))
  AND NOT (t.oid IS NOT NULL AND (SELECT n.nspname FROM pg_proc q JOIN pg_namespace n ON n.oid = q.pronamespace
                                  WHERE q.oid = t.tgfoid) = %(state_schema)s)
  AND coalesce(vn.nspname, '') <> %(state_schema)s
  AND NOT (r.oid IS NOT NULL AND r.pronamespace = to_regnamespace(quote_ident(%(state_schema)s)))
  AND NOT (f.oid IS NOT NULL AND f.adrelid = b.rel AND f.adnum = b.attnum)
  -- The retired tables are dropped first, with their own policies, constraints, triggers and defaults.
  AND coalesce(k.conrelid, t.tgrelid, p.polrelid, f.adrelid, 0) <> ALL (ARRAY(
      SELECT to_regclass(o.name)::oid FROM unnest(%(retired)s::text[]) o(name) WHERE to_regclass(o.name) IS NOT NULL))
ORDER BY 1, 2
