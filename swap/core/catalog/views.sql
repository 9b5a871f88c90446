-- Views that bind the given columns (attnum 0: the whole table), and views on those, deepest last.
WITH RECURSIVE wanted AS (
    SELECT * FROM unnest(%(oids)s::oid[], %(attnums)s::int[]) w(oid, attnum)
), dep AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS on_rel, d.refobjsubid AS on_att
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid
), tree AS (
    SELECT dep.view, 1 AS depth FROM dep JOIN wanted w ON w.oid = dep.on_rel AND (w.attnum = 0 OR dep.on_att IN (0, w.attnum))
    UNION
    SELECT dep.view, tree.depth + 1 FROM tree JOIN dep ON dep.on_rel = tree.view
)
SELECT c.oid::bigint, n.nspname, c.relname, pg_get_userbyid(c.relowner), c.relkind::text, max(tree.depth)::int,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       coalesce(c.reloptions, '{}'::text[]), obj_description(c.oid, 'pg_class'),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid)
         + (SELECT count(*) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
         + (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
              AND (a.atthasdef OR col_description(c.oid, a.attnum) IS NOT NULL))
         + (SELECT count(*) FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = c.reltype
              AND d.deptype = 'n')
FROM tree JOIN pg_class c ON c.oid = tree.view JOIN pg_namespace n ON n.oid = c.relnamespace
GROUP BY c.oid, n.nspname ORDER BY max(tree.depth), n.nspname, c.relname
