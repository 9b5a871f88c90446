-- Expressions that hold one of the given tables as a constant ('users'::regclass): the server keeps its oid, and notes a dependency on
-- the table as a whole. Those of views, functions, policies, and of triggers of these tables are made again by their text, which has
-- the name. A foreign key, an index and a constraint trigger depend on a table as a whole too, and are none of these.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS object, d.classid = 'pg_attrdef'::regclass AS by_default, d.refobjid::bigint AS table_oid
FROM pg_depend d
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%(oids)s::oid[]) AND d.refobjsubid = 0 AND d.deptype = 'n'
  AND (d.classid IN ('pg_attrdef'::regclass, 'pg_statistic_ext'::regclass)
       OR d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'c')
       OR d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind IN ('i', 'I'))
       OR d.classid = 'pg_trigger'::regclass AND EXISTS (
           SELECT FROM pg_trigger t WHERE t.oid = d.objid AND NOT t.tgisinternal AND t.tgconstrrelid <> d.refobjid
           AND t.tgrelid <> ALL (%(oids)s::oid[])))
ORDER BY object
