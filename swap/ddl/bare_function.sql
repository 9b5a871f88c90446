-- A new function's ACL without what default privileges put into it (H32), PUBLIC's right among it; its grants follow.
DECLARE
    them text;
BEGIN
    SELECT string_agg(DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') INTO them
    FROM pg_proc p, aclexplode(p.proacl) x
    WHERE p.pronamespace = {schema}::regnamespace AND p.proname = {name} AND pg_get_function_identity_arguments(p.oid) = {arguments}
      AND x.grantee <> p.proowner;
    IF them IS NOT NULL THEN
        EXECUTE 'REVOKE ALL ON ROUTINE ' || {routine} || ' FROM ' || them;
    END IF;
END
