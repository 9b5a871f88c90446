-- Objects that depend on the given ones. Each is a view or function that has to be built again (kind class or proc), or another
-- object (kind ''), with its description. Given: kind class with attnum -1 is a relation and its row type, with another attnum one
-- column of it; kind proc is a function.
WITH wanted AS (
    SELECT w.kind, w.oid, w.attnum FROM unnest(%(kinds)s::text[], %(oids)s::oid[], %(attnums)s::int[]) w(kind, oid, attnum)
), target AS (
    SELECT kind, oid, attnum, 'pg_class'::regclass::oid AS classid, oid AS objid FROM wanted WHERE kind = 'class'
    UNION ALL
    SELECT kind, oid, attnum, 'pg_proc'::regclass, oid FROM wanted WHERE kind = 'proc'
    UNION ALL
    SELECT w.kind, w.oid, w.attnum, 'pg_type'::regclass, x.type
    FROM wanted w JOIN pg_class c ON c.oid = w.oid JOIN pg_type t ON t.oid = c.reltype, LATERAL unnest(ARRAY[t.oid, t.typarray]) x(type)
    WHERE w.kind = 'class' AND w.attnum = -1
)
SELECT DISTINCT t.kind AS on_kind, t.oid::bigint AS on_oid,
       CASE WHEN c.oid IS NOT NULL THEN 'class' WHEN d.classid = 'pg_proc'::regclass THEN 'proc' ELSE '' END AS kind,
       coalesce(c.oid, d.objid)::bigint AS oid,
       pg_describe_object(d.classid, d.objid, d.objsubid) AS description, d.classid::regclass::text AS catalog
FROM target t
JOIN pg_depend d ON d.refclassid = t.classid AND d.refobjid = t.objid AND (t.attnum < 0 OR d.refobjsubid IN (0, t.attnum))
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
LEFT JOIN pg_class c ON c.relkind IN ('v', 'm')
     AND c.oid = coalesce(r.ev_class, g.tgrelid, f.adrelid, i.indrelid, CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)
WHERE NOT (d.classid = 'pg_type'::regclass AND d.deptype = 'i')
  AND NOT (d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND (SELECT x.relkind FROM pg_class x WHERE x.oid = d.objid) = 't')
  AND NOT (r.oid IS NOT NULL AND r.ev_class = t.oid AND t.kind = 'class')
UNION ALL
-- Security labels, and triggers and indexes that belong to an extension: they would be missing on the object that is built again.
SELECT w.kind, w.oid::bigint, '', l.objoid::bigint, 'security label of ' || pg_describe_object(l.classoid, l.objoid, l.objsubid), 'pg_seclabel'
FROM wanted w JOIN pg_seclabel l ON l.objoid = w.oid
     AND l.classoid = CASE w.kind WHEN 'class' THEN 'pg_class'::regclass ELSE 'pg_proc'::regclass END
UNION ALL
SELECT w.kind, w.oid::bigint, '', d.objid::bigint, pg_describe_object(d.classid, d.objid, 0), 'pg_extension'
FROM wanted w JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND w.kind = 'class'
     AND (d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT t.oid FROM pg_trigger t WHERE t.tgrelid = w.oid)
          OR d.classid = 'pg_class'::regclass AND d.objid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = w.oid))
ORDER BY on_oid, kind, oid
