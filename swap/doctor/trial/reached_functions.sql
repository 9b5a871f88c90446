-- Functions that a body may call: those of the names that stand before a parenthesis in it, and the one with the oid `first`.
-- `stronger`: this session may become a superuser, or reach files and programs of the server, and the function's owner may not.
SELECT p.oid::bigint AS oid, n.nspname::text AS schema, p.proname::text AS name, p.oid::regprocedure::text AS signature,
       l.lanname::text AS language, p.prosrc AS body, CASE WHEN p.prokind = 'a' THEN '' ELSE pg_get_functiondef(p.oid) END AS definition,
       (SELECT substr(c.setting, 13) FROM unnest(p.proconfig) c(setting) WHERE c.setting LIKE 'search_path=%%') AS path,
       p.provolatile = 'v' AS volatile,
       coalesce((SELECT e.extname::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'), '') AS extension,
       pg_get_userbyid(p.proowner)::text AS owner, p.prosecdef AND p.proowner <> current_user::regrole AS definer,
       EXISTS (SELECT FROM pg_roles r
               WHERE (r.rolsuper OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
                 AND pg_has_role(session_user, r.oid, 'MEMBER') AND NOT pg_has_role(p.proowner, r.oid, 'MEMBER')) AS stronger
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE (p.oid = %(first)s OR (lower(p.proname) = ANY (%(names)s::text[]) AND n.nspname <> ALL (%(own)s::text[])))
  AND n.nspname !~ '^pg_(catalog|toast|temp)' AND n.nspname <> 'information_schema'
ORDER BY p.oid
