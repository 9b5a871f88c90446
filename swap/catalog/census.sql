-- Objects that depend on a table or its row type and that no other query of this folder reads. `doctor` refuses each by name.
SELECT d.refobjid::bigint AS table_oid, pg_describe_object(d.classid, d.objid, d.objsubid) AS description, d.classid::regclass::text AS catalog,
       coalesce((SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 AND d.refobjsubid > 0), '') AS column
FROM pg_depend d
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%(oids)s::oid[])
  AND d.classid NOT IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_trigger'::regclass, 'pg_rewrite'::regclass,
                        'pg_policy'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass,
                        'pg_statistic_ext'::regclass)
  AND NOT (d.classid = 'pg_class'::regclass AND (SELECT c.relkind FROM pg_class c WHERE c.oid = d.objid) IN ('i', 'S', 't', 'I'))
  AND NOT (d.classid = 'pg_type'::regclass AND d.deptype = 'i')
  -- A partition key, and partitions: swap.doctor.partitions checks them.
  AND NOT (d.classid = 'pg_class'::regclass AND d.objid = d.refobjid AND d.deptype = 'i')
  AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relispartition))
UNION
SELECT c.oid::bigint, pg_describe_object(d.classid, d.objid, d.objsubid), d.classid::regclass::text, ''
FROM pg_class c JOIN pg_type t ON t.oid = c.reltype JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass
     AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' AND d.classid <> 'pg_proc'::regclass
     AND NOT (d.classid = 'pg_class'::regclass AND (SELECT v.relkind FROM pg_class v WHERE v.oid = d.objid) IN ('v', 'm'))
     AND d.classid <> 'pg_rewrite'::regclass
WHERE c.oid = ANY (%(oids)s::oid[])
UNION
-- Labels of the tables and their columns are carried over (labels.sql). Those of an identity's sequence are not, since the sequence
-- is made anew, nor those of a partition's columns, which belong to its table.
SELECT s.refobjid::bigint, 'security label of ' || s.objid::regclass, 'pg_seclabel', ''
FROM pg_depend s JOIN pg_class q ON q.oid = s.objid AND q.relkind = 'S'
     JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = s.objid
WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass AND s.refobjid = ANY (%(oids)s::oid[]) AND s.deptype = 'i'
UNION
SELECT c.oid::bigint, 'security label of type ' || c.oid::regclass, 'pg_seclabel', ''
FROM pg_class c JOIN pg_seclabel l ON l.classoid = 'pg_type'::regclass AND l.objoid = c.reltype WHERE c.oid = ANY (%(oids)s::oid[])
UNION
SELECT c.oid::bigint, 'security label of ' || t.relid, 'pg_seclabel', ''
FROM pg_class c, pg_partition_tree(c.oid) t JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = t.relid AND l.objsubid > 0
WHERE c.oid = ANY (%(oids)s::oid[]) AND c.relkind = 'p' AND t.relid <> c.oid
ORDER BY table_oid, description
