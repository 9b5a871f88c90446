-- Only its owner may execute it, whatever ALTER DEFAULT PRIVILEGES let in: with EXECUTE a role can put the function on a table of
-- its own, and it works with its owner's rights.
DECLARE
    who record;
BEGIN
    FOR who IN SELECT DISTINCT x.grantee AS oid FROM pg_catalog.pg_proc p,
                    pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
               WHERE p.oid = {routine}::pg_catalog.regprocedure AND x.grantee <> p.proowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %s', {routine},
            CASE who.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(who.oid)) END);
    END LOOP;
END
