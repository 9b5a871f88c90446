-- Functions that [[function]] names and that are bound to no table, by schema, name and arguments, as lines. The exchange and a revert
-- put the plan's texts in their place: so until the exchange they must be as they were when the plan was made.
SELECT p.oid::regprocedure::text AS tab,
       format('named %s owner=%s acl=%s', pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner), p.proacl) AS line
FROM unnest({schemas}::text[], {names}::text[], {arguments}::text[]) w(schema, name, arguments)
JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = w.name AND p.prokind <> 'a'
WHERE w.arguments IN (pg_get_function_identity_arguments(p.oid), oidvectortypes(p.proargtypes))
