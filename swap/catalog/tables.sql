-- The tables, without their parts.
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS relation, pg_get_userbyid(c.relowner) AS owner, c.relkind::text AS kind,
       c.relpersistence::text AS persistence, c.relrowsecurity AS rls, c.relforcerowsecurity AS force_rls,
       coalesce(c.reloptions, '{}'::text[]) AS options,
       coalesce((SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid), '{}'::text[]) AS toast_options,
       obj_description(c.oid, 'pg_class') AS comment,
       greatest(c.reltuples, 0)::bigint AS rows_estimate,
       CASE c.relkind WHEN 'p' THEN (SELECT coalesce(sum(pg_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(c.oid) t)
                      ELSE pg_relation_size(c.oid) END AS heap_bytes,
       CASE c.relkind WHEN 'p' THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(c.oid) t)
                      ELSE pg_total_relation_size(c.oid) END AS total_bytes,
       c.relreplident::text AS replident,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS has_children,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AS is_child,
       EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND c.relkind IN ('r', 'p')) AS has_rules,
       coalesce((SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace), '') AS tablespace,
       coalesce((SELECT m.amname FROM pg_am m WHERE m.oid = c.relam), '') AS access_method,
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) ELSE '' END AS of_type,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END AS partition_key,
       hn.nspname AS parent_schema, hc.relname AS parent_relation, coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_inherits h JOIN pg_class hc ON hc.oid = h.inhparent JOIN pg_namespace hn ON hn.oid = hc.relnamespace)
       ON h.inhrelid = c.oid AND c.relispartition
WHERE c.oid = ANY (%(oids)s::oid[])
ORDER BY n.nspname, c.relname
