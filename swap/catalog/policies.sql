-- Policies of the tables.
SELECT p.polrelid::bigint AS of_oid, p.polname AS name, p.polpermissive AS permissive, p.polcmd::text AS command,
       ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) r)::text[] AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check,
       coalesce(obj_description(p.oid, 'pg_policy'), '') AS comment
FROM pg_policy p WHERE p.polrelid = ANY (%(oids)s::oid[])
ORDER BY p.polrelid, p.polname
