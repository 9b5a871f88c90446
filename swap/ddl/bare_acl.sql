-- A new relation's ACL as it is without ALTER DEFAULT PRIVILEGES: whoever the defaults let in would stay in (H32).
DECLARE
    who record;
BEGIN
    FOR who IN SELECT DISTINCT x.grantee AS oid FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x
               WHERE c.oid = {relation}::pg_catalog.regclass AND x.grantee <> c.relowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', {relation},
            CASE who.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(who.oid)) END);
    END LOOP;
END
