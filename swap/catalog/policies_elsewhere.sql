-- Policies of other tables than the source, whose expressions read the source or one of the tables (not their own).
SELECT p.polrelid::bigint AS oid, p.polname AS name, p.polpermissive AS permissive, p.polcmd::text AS command,
       ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) r)::text[] AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check,
       coalesce(obj_description(p.oid, 'pg_policy'), '') AS comment, n.nspname AS schema, c.relname AS relation, d.reads
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
     LATERAL (SELECT array_agg(DISTINCT d.refobjid::bigint ORDER BY d.refobjid::bigint) AS reads FROM pg_depend d
              WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = ANY (%(oids)s::oid[]) AND d.refobjid <> p.polrelid) d
WHERE p.polrelid <> %(source)s AND d.reads IS NOT NULL
ORDER BY n.nspname, c.relname, p.polname
