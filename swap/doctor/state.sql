SELECT pg_get_userbyid(n.nspowner)::text, pg_has_role(n.nspowner, 'USAGE') FROM pg_namespace n WHERE n.nspname = %(schema)s
