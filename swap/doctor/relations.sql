-- The relations, and what this role may do with them. `lockable`: LOCK TABLE ... ACCESS EXCLUSIVE without owning it
-- (LockTableAclCheck in src/backend/commands/lockcmds.c).
SELECT c.oid::bigint, n.nspname::text AS schema, c.relname::text AS relation, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       c.relkind IN ('r', 'p') AND row_security_active(c.oid) AS rls_active, c.relforcerowsecurity AS force_rls,
       has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
         OR CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS lockable,
       has_schema_privilege(n.oid, 'USAGE') AS schema_usage, has_schema_privilege(n.oid, 'CREATE') AS schema_create,
       has_schema_privilege(c.relowner, n.oid, 'CREATE') AS owner_create,
       pg_has_role(c.relowner, CASE WHEN current_setting('server_version_num')::int >= 160000
                               THEN 'SET' ELSE 'MEMBER' END) AS can_become
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[]) ORDER BY n.nspname, c.relname
