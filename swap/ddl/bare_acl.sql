-- A new relation's ACL as it is without ALTER DEFAULT PRIVILEGES: whoever the defaults let in would stay in (H32). So too those of
-- the sequences of its identity columns.
DECLARE
    who record;
BEGIN
    FOR who IN SELECT DISTINCT c.oid::pg_catalog.regclass AS relation, x.grantee AS oid
               FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x
               WHERE x.grantee <> c.relowner
                 AND c.oid IN (SELECT {relation}::pg_catalog.regclass::pg_catalog.oid UNION ALL
                               SELECT d.objid FROM pg_catalog.pg_depend d
                               WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.classid = d.refclassid
                                 AND d.refobjid = {relation}::pg_catalog.regclass AND d.deptype = 'i' AND d.refobjsubid > 0)
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', who.relation,
            CASE who.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(who.oid)) END);
    END LOOP;
END
