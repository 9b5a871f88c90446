-- Extended statistics of the tables. `body`: the list after ON. `columns`: every column in it.
SELECT s.stxrelid::bigint AS of_oid, n.nspname::text AS schema, s.stxname::text AS object, pg_get_userbyid(s.stxowner)::text AS owner,
       pg_has_role(s.stxowner, 'USAGE') AS owned,
       ARRAY(SELECT CASE k WHEN 'd' THEN 'ndistinct' WHEN 'f' THEN 'dependencies' WHEN 'm' THEN 'mcv' END
             FROM unnest(s.stxkind) k WHERE k <> 'e') AS kinds,
       pg_get_statisticsobjdef_columns(s.oid) AS body, nullif(coalesce(s.stxstattarget, -1)::int, -1) AS target,
       obj_description(s.oid, 'pg_statistic_ext') AS comment,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = s.stxrelid
             AND (a.attnum = ANY (s.stxkeys::int2[]) OR a.attnum IN (
                 SELECT d.refobjsubid FROM pg_depend d WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
                 AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.stxrelid)) AND a.attnum > 0 ORDER BY a.attnum) AS columns
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxrelid = ANY (%(oids)s::oid[])
-- without the trap of an exchange (swap/ddl/exact_reads.py)
AND NOT (s.stxname ~ '_reads_[0-9]+$' AND EXISTS (
        SELECT FROM pg_depend xd JOIN pg_proc xp ON xp.oid = xd.refobjid AND xp.pronamespace = s.stxnamespace AND xp.proname ~ '_reads$'
        WHERE xd.classid = 'pg_statistic_ext'::regclass AND xd.objid = s.oid AND xd.refclassid = 'pg_proc'::regclass))
ORDER BY n.nspname, s.stxname
