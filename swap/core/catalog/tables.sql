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
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) ELSE '' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])
ORDER BY n.nspname, c.relname
