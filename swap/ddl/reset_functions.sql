-- A new row in pg_proc for each function, and nothing else: sessions compile it again. Those of other owners are left,
-- as `doctor` has said.
DECLARE
    f record;
BEGIN
    FOR f IN {mentions} LOOP
        CONTINUE WHEN NOT f.owned;
        EXECUTE format('ALTER ROUTINE %I.%I(%s) SECURITY %s', f.nspname, f.proname, f.arguments,
                       CASE WHEN f.prosecdef THEN 'DEFINER' ELSE 'INVOKER' END);
    END LOOP;
EXCEPTION WHEN internal_error THEN  -- "tuple concurrently updated": somebody replaced one while this waited for him
    RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'lock_not_available';
END
