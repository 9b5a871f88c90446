-- The function of that name and those parameters.
SELECT p.oid::bigint FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s AND pg_get_function_identity_arguments(p.oid) = %(arguments)s
