-- Grants in the order of the ACLs, as pg_dump prints them. `column` is null for those on the whole relation.
SELECT g.rel AS of_oid, g.attname AS column, g.grantee, g.grantor, g.priv AS privilege, g.grantable FROM (
    SELECT c.oid::bigint AS rel, NULL::text AS attname, 0 AS num, i.n, x.ord,
           CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
           pg_get_userbyid(x.grantor)::text AS grantor, x.privilege_type AS priv, x.is_grantable AS grantable
    FROM pg_class c, unnest(c.relacl) WITH ORDINALITY i(item, n),
         LATERAL aclexplode(ARRAY[i.item]) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, ord)
    WHERE c.oid = ANY (%(oids)s::oid[]) AND x.grantee <> c.relowner
    UNION ALL
    SELECT c.oid::bigint, a.attname::text, a.attnum, i.n, x.ord,
           CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END,
           pg_get_userbyid(x.grantor)::text, x.privilege_type, x.is_grantable
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped,
         unnest(a.attacl) WITH ORDINALITY i(item, n),
         LATERAL aclexplode(ARRAY[i.item]) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, ord)
    WHERE c.oid = ANY (%(oids)s::oid[]) AND x.grantee <> c.relowner
) g ORDER BY g.rel, g.num, g.n, g.ord
