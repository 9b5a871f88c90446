-- The function that swap has just made in the temporary schema, compared with another one.
SELECT pg_get_function_identity_arguments(p.oid) AS arguments,
       (p.prokind, p.proargtypes::text, p.prorettype, p.proretset, p.proallargtypes::text, p.proargmodes::text)
         IS NOT DISTINCT FROM (l.prokind, l.proargtypes::text, l.prorettype, l.proretset, l.proallargtypes::text, l.proargmodes::text) AS alike
FROM pg_proc p, pg_proc l
WHERE p.pronamespace = pg_my_temp_schema() AND p.proname = 'swap_trial_routine' AND l.oid = %(like)s
