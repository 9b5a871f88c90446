SELECT p.polrelid::bigint, p.polname, p.polpermissive, p.polcmd::text,
       ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) r)::text[],
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
       coalesce(obj_description(p.oid, 'pg_policy'), '')
FROM pg_policy p WHERE p.polrelid = ANY (%(oids)s::oid[])
ORDER BY p.polrelid, p.polname
