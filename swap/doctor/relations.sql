-- What this role may do with each relation. `lockable`: LOCK TABLE ... ACCESS EXCLUSIVE without owning it
-- (LockTableAclCheck in src/backend/commands/lockcmds.c).
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, pg_get_userbyid(c.relowner)::text,
       pg_has_role(c.relowner, 'USAGE'),
       c.relkind IN ('r', 'p') AND row_security_active(c.oid), c.relforcerowsecurity,
       has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
         OR CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END,
       has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE'),
       has_schema_privilege(c.relowner, n.oid, 'CREATE'),
       pg_has_role(c.relowner, CASE WHEN current_setting('server_version_num')::int >= 160000
                               THEN 'SET' ELSE 'MEMBER' END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[]) ORDER BY n.nspname, c.relname
