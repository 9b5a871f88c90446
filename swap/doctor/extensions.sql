-- The tables, their indexes, sequences, statistics and triggers that are members of an extension, or depend on one.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS object, e.extname::text AS extension
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x') AND (
       d.classid = 'pg_class'::regclass AND (
           d.objid = ANY (%(oids)s::oid[])
           OR EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = d.objid AND i.indrelid = ANY (%(oids)s::oid[]))
           OR EXISTS (SELECT FROM pg_depend s WHERE s.classid = 'pg_class'::regclass AND s.objid = d.objid AND s.deptype IN ('a', 'i')
                      AND s.refclassid = 'pg_class'::regclass AND s.refobjid = ANY (%(oids)s::oid[])))
    OR d.classid = 'pg_trigger'::regclass AND d.deptype = 'e' AND EXISTS (  -- DEPENDS ON is carried over
           SELECT FROM pg_trigger t WHERE t.oid = d.objid AND t.tgrelid = ANY (%(oids)s::oid[]))
    OR d.classid = 'pg_statistic_ext'::regclass AND EXISTS (
           SELECT FROM pg_statistic_ext x WHERE x.oid = d.objid AND x.stxrelid = ANY (%(oids)s::oid[])))
ORDER BY object, extension
