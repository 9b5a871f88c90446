-- Who owns the schema, and whether this role has the owner's rights.
SELECT pg_get_userbyid(n.nspowner)::text AS owner, pg_has_role(n.nspowner, 'USAGE') AS owned FROM pg_namespace n WHERE n.nspname = %(schema)s
