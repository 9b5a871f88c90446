-- Grants on functions in the order of their ACLs, those to PUBLIC by default too.
SELECT p.oid::bigint AS of_oid, NULL::text AS column, CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
       pg_get_userbyid(x.grantor)::text AS grantor, x.privilege_type AS privilege, x.is_grantable AS grantable
FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, ord)
WHERE p.oid = ANY (%(oids)s::oid[]) AND x.grantee <> p.proowner ORDER BY p.oid, x.ord
