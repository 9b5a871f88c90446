-- Functions with a string body that mention one of the names, or that a trigger of one of the tables runs.
SELECT n.nspname::text, p.proname::text, pg_get_function_identity_arguments(p.oid) AS arguments, l.lanname::text,
       p.prosecdef, pg_has_role(p.proowner, 'USAGE') AS owned, pg_get_userbyid(p.proowner)::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND p.prosqlbody IS NULL AND l.lanname NOT IN ('internal', 'c')
  -- Before the text is looked at: six functions for each reference are there.
  AND p.pronamespace <> coalesce((SELECT oid FROM pg_namespace WHERE nspname = {state_schema}), 0)
  AND (p.prosrc ~* {pattern}
       OR EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
                  WHERE t.tgfoid = p.oid AND NOT t.tgisinternal
                    AND cn.nspname || '.' || c.relname = ANY ({tables}::text[])))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2, 3
