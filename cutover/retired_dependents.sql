-- What outside the retired tables depends on one of them: DROP TABLE would refuse, or (a constraint trigger FROM it) silently take it along.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_class c JOIN pg_depend d ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
     OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (c.reltype, (SELECT y.typarray FROM pg_type y WHERE y.oid = c.reltype)))
LEFT JOIN pg_class x ON d.classid = 'pg_class'::regclass AND x.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
LEFT JOIN pg_class v ON v.oid = w.ev_class
LEFT JOIN pg_proc r ON d.classid = 'pg_proc'::regclass AND r.oid = d.objid
WHERE c.oid = to_regclass(%(table)s)
  AND coalesce(k.conrelid, t.tgrelid, p.polrelid, w.ev_class, 0) <> ALL (ARRAY(
      SELECT to_regclass(o.name)::oid FROM unnest(%(retired)s::text[]) o(name) WHERE to_regclass(o.name) IS NOT NULL))
  AND d.classid NOT IN ('pg_attrdef'::regclass, 'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass)
  AND NOT (x.oid IS NOT NULL AND (d.deptype IN ('a', 'i') AND d.objsubid = 0 OR d.deptype IN ('P', 'S')))
  AND NOT (x.oid IS NOT NULL AND x.oid = c.oid)
  AND NOT (d.classid = 'pg_type'::regclass AND d.deptype = 'i')
  AND coalesce(v.relnamespace, r.pronamespace, 0) <> coalesce(to_regnamespace(quote_ident(%(state_schema)s)), 0)
ORDER BY 1
