-- For each of the roles: whether this role can become it, and whether it sees the schema.
SELECT r.rolname::text AS name, pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS can_become,
       has_schema_privilege(r.oid, n.oid, 'USAGE') AS sees_schema
FROM pg_roles r, pg_namespace n WHERE r.rolname = ANY (%(roles)s::text[]) AND n.nspname = %(schema)s
