-- One row per table: what CREATE TABLE, ALTER TABLE and pg_class say about it.
SELECT c.oid::bigint, n.nspname, c.relname, pg_get_userbyid(c.relowner), c.relkind::text, c.relpersistence::text,
       c.relrowsecurity, c.relforcerowsecurity,
       coalesce(c.reloptions, '{}'::text[]),
       coalesce((SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid), '{}'::text[]),
       obj_description(c.oid, 'pg_class'),
       greatest(c.reltuples, 0)::bigint,
       CASE c.relkind WHEN 'p' THEN (SELECT coalesce(sum(pg_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(c.oid) t)
                      ELSE pg_relation_size(c.oid) END,
       CASE c.relkind WHEN 'p' THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(c.oid) t)
                      ELSE pg_total_relation_size(c.oid) END,
       c.relreplident::text,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid),
       EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND c.relkind IN ('r', 'p')),
       coalesce((SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace), ''),
       coalesce((SELECT m.amname FROM pg_am m WHERE m.oid = c.relam), ''),
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) ELSE '' END,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END,
       ARRAY(SELECT o.name::text FROM pg_inherits h JOIN pg_class hc ON hc.oid = h.inhparent JOIN pg_namespace hn ON hn.oid = hc.relnamespace,
             LATERAL (VALUES (1, hn.nspname), (2, hc.relname)) o(n, name) WHERE h.inhrelid = c.oid AND c.relispartition ORDER BY o.n),
       coalesce(pg_get_expr(c.relpartbound, c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])
ORDER BY n.nspname, c.relname
