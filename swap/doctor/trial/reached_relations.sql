-- Relations whose names are words of a body. `stronger`: as of a function. Of a sequence only the name counts.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       EXISTS (SELECT FROM pg_roles r
               WHERE (r.rolsuper OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
                 AND pg_has_role(session_user, r.oid, 'MEMBER') AND NOT pg_has_role(c.relowner, r.oid, 'MEMBER')) AS stronger
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = ANY (%(words)s::text[]) AND c.relkind IN ('r', 'p', 'v', 'f', 'S')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL (%(own)s::text[])
ORDER BY 1, 2
