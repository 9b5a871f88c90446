-- Defaults of tables in the trial's schemas that call a function of the application's, or a sequence that is not in these schemas.
SELECT n.nspname::text AS schema, c.relname::text AS "table", a.attname::text AS "column",
       bool_and(d.refclassid = 'pg_class'::regclass) AS is_sequence
FROM pg_attrdef f
JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = ''
JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
WHERE n.nspname = ANY (%(schemas)s::text[])
  AND ((d.refclassid = 'pg_class'::regclass
        AND EXISTS (SELECT FROM pg_class s WHERE s.oid = d.refobjid AND s.relkind = 'S'
                    AND s.relnamespace::regnamespace::text <> ALL (%(schemas)s::text[])))
       OR d.refclassid = 'pg_proc'::regclass)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
