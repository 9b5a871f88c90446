-- Functions and procedures, with everything that creates them again.
SELECT p.oid::bigint, n.nspname AS schema, p.proname AS routine, pg_get_function_identity_arguments(p.oid) AS arguments, p.prokind::text AS kind,
       CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE '' END AS definition, pg_get_userbyid(p.proowner) AS owner,
       coalesce(obj_description(p.oid, 'pg_proc'), '') AS comment, p.proacl IS NOT NULL AS restricted,
       EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee = p.proowner) AS owner_executes,
       coalesce((SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass LIMIT 1), '') AS extension,
       (NOT l.lanpltrusted OR p.proleakproof OR p.prosupport <> 0)
         AND NOT (SELECT u.rolsuper FROM pg_roles u WHERE u.rolname = current_user) AS superuser_only,
       p.prosqlbody IS NOT NULL AND EXISTS (
           SELECT FROM pg_type t WHERE t.oid = p.prorettype AND t.typtype = 'c'
           AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
               = (SELECT count(DISTINCT d.refobjsubid) FROM pg_depend d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
                    AND d.refobjid = t.typrelid AND d.refobjsubid > 0)) AS lists_columns,
       coalesce((SELECT t.typrelid FROM pg_type t WHERE t.oid = p.prorettype AND t.typtype = 'c'), 0)::bigint AS returns,
       pg_has_role(p.proowner, 'USAGE')
         AND (p.proowner = (SELECT u.oid FROM pg_roles u WHERE u.rolname = current_user)
              OR pg_has_role(p.proowner, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)) AS owned,
       has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(p.proowner, n.oid, 'CREATE') AS creatable
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid = ANY (%(oids)s::oid[]) ORDER BY p.oid
