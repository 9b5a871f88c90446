-- Every entry of pg_depend with one end at the tables or their parts, by the kinds of both ends and the type of the dependency, with
-- one example. There is no run yet, so there are no objects of this tool.
WITH RECURSIVE own(classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, oid FROM unnest(%(oids)s::oid[]) t(oid)
    UNION
    SELECT d.classid, d.objid FROM own JOIN pg_depend d ON d.refclassid = own.classid AND d.refobjid = own.objid
    WHERE d.deptype IN ('i', 'a', 'P', 'S')
      AND d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_trigger'::regclass,
                        'pg_policy'::regclass, 'pg_type'::regclass, 'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass)
      -- a foreign key of another table depends on this one too, and is no part of it
      AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
          SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.conrelid <> ALL (%(oids)s::oid[])))
), entry AS (
    SELECT 'in' AS way, d.* FROM pg_depend d JOIN own ON own.classid = d.refclassid AND own.objid = d.refobjid
    UNION
    SELECT 'out', d.* FROM pg_depend d JOIN own ON own.classid = d.classid AND own.objid = d.objid
)
SELECT e.way, k.kind, e.deptype::text, r.kind AS referenced_kind, min(pg_describe_object(e.classid, e.objid, e.objsubid)) AS dependent,
       min(pg_describe_object(e.refclassid, e.refobjid, e.refobjsubid)) AS referenced
FROM entry e,
     LATERAL (SELECT (parse_ident(e.classid::regclass::text))[1] || coalesce(
         (SELECT '/' || c.relkind::text FROM pg_class c WHERE e.classid = 'pg_class'::regclass AND c.oid = e.objid), '')) k(kind),
     LATERAL (SELECT (parse_ident(e.refclassid::regclass::text))[1] || coalesce(
         (SELECT '/' || c.relkind::text FROM pg_class c WHERE e.refclassid = 'pg_class'::regclass AND c.oid = e.refobjid), '')) r(kind)
GROUP BY e.way, k.kind, e.deptype, r.kind ORDER BY e.way, k.kind, e.deptype, r.kind
