-- What a partition of the source has of its own, or what depends on it by its own name, one row each: what is no part of the table's.
SELECT x.oid::bigint AS oid, pg_describe_object(x.classid, x.objid, x.objsubid) AS detail
FROM (
    SELECT d.refobjid AS oid, d.classid, d.objid, d.objsubid FROM pg_depend d
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%(oids)s::oid[]) AND d.objid <> d.refobjid AND d.deptype <> 'i'
      AND d.classid <> 'pg_attrdef'::regclass
      AND NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND (c.relispartition OR c.relkind = 't'))
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
                        AND (k.conparentid <> 0 OR k.coninhcount > 0 OR k.contype = 'n'))
      AND NOT EXISTS (SELECT FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND (t.tgparentid <> 0 OR t.tgisinternal))
    UNION
    SELECT c.oid, d.classid, d.objid, d.objsubid
    FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n'
    WHERE c.oid = ANY (%(oids)s::oid[])
) x
ORDER BY 1, 2
