-- The trigger of a copy, and the function that it calls.
SELECT t.tgfoid::bigint AS function, pg_get_triggerdef(t.oid) AS definition
FROM pg_trigger t WHERE t.tgrelid = to_regclass(%(table)s) AND t.tgname = %(name)s
