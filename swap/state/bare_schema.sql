-- Nobody but its owner may look into the state schema, whatever ALTER DEFAULT PRIVILEGES let in: without USAGE on it
-- nothing in it can be named, whatever rights there are on its tables and functions.
DECLARE
    who record;
BEGIN
    FOR who IN SELECT DISTINCT x.grantee AS oid FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) x
               WHERE n.nspname = {schema} AND x.grantee <> n.nspowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s', {schema},
            CASE who.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(who.oid)) END);
    END LOOP;
END
