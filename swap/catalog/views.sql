-- Views and materialized views, with everything that creates them again.
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS relation, pg_get_userbyid(c.relowner) AS owner, c.relkind::text AS kind,
       pg_get_viewdef(c.oid) AS definition, coalesce(c.reloptions, '{}'::text[]) AS options,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
       -- Null where the owner has every privilege.
       CASE WHEN c.relacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) o WHERE o.grantee = c.relowner) THEN '{}'::text[]
            ELSE (SELECT array_agg(x.privilege_type ORDER BY x.ord) FROM aclexplode(c.relacl) WITH ORDINALITY x(a, grantee, privilege_type, b, ord)
                  WHERE x.grantee = c.relowner
                    AND (SELECT count(*) FROM aclexplode(c.relacl) o WHERE o.grantee = c.relowner)
                        < (SELECT count(*) FROM aclexplode(acldefault('r', c.relowner)) o)) END AS owner_privileges,
       c.relpersistence::text AS persistence,
       coalesce((SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass LIMIT 1), '') AS extension,
       coalesce((SELECT s.spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace), '') AS tablespace,
       coalesce((SELECT m.amname FROM pg_am m WHERE m.oid = c.relam), '') AS access_method,
       coalesce((SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid), '{}'::text[]) AS toast_options,
       c.relispopulated AS populated, c.relreplident::text AS replident,
       CASE WHEN c.relkind = 'm' THEN (
           WITH RECURSIVE under(rel) AS (
               SELECT c.oid
               UNION
               SELECT d.refobjid FROM under u JOIN pg_rewrite r ON r.ev_class = u.rel
               JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
           ), tables(rel) AS (
               SELECT u.rel FROM under u UNION SELECT p.relid FROM under u, pg_partition_tree(u.rel) p
           )
           SELECT coalesce(sum(pg_table_size(x.oid)), 0)::bigint FROM tables t JOIN pg_class x ON x.oid = t.rel AND x.relkind IN ('r', 'm')
       ) ELSE 0 END AS reads_bytes,
       (WITH RECURSIVE under(rel) AS (
            SELECT c.oid
            UNION
            SELECT d.refobjid FROM under u JOIN pg_rewrite r ON r.ev_class = u.rel
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                 AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
        ) SELECT coalesce(min(x.oid::regclass::text), '') FROM under u JOIN pg_class x ON x.oid = u.rel
          WHERE c.relkind = 'm' AND x.relkind = 'm' AND NOT x.relispopulated) AS unfilled
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[]) ORDER BY c.oid
