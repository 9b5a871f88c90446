-- Functions whose bodies are text, bound by name at each call, and which may hold keys: they name the source, or a
-- reference's table and column, or name the column and are triggers of such a table or have its row type in their signature.
SELECT p.oid::bigint, n.nspname::text, p.proname::text, p.oid::regprocedure::text, l.lanname::text,
       pg_get_functiondef(p.oid), p.prorettype = 'pg_catalog.trigger'::regtype,
       (SELECT substr(c.setting, 13) FROM unnest(p.proconfig) c(setting) WHERE c.setting LIKE 'search_path=%%'),
       ARRAY(SELECT DISTINCT t.tgrelid::bigint FROM pg_trigger t
             JOIN pg_class c ON c.oid = t.tgrelid
             WHERE t.tgfoid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0
               AND c.relnamespace::regnamespace::text <> ALL (%(own)s::text[]) ORDER BY 1)
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE p.prokind IN ('f', 'p') AND p.prosqlbody IS NULL AND l.lanname NOT IN ('internal', 'c')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL (%(own)s::text[])
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND EXISTS (
      SELECT FROM unnest(%(oids)s::oid[], %(tables)s::text[], %(columns)s::text[]) w(oid, named, col)
      WHERE p.prosrc ~* w.col
        AND (p.prosrc ~* w.named OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid AND t.tgrelid = w.oid)
             OR EXISTS (SELECT FROM pg_class c JOIN pg_type y ON y.oid = c.reltype
                        JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray)
                        WHERE c.oid = w.oid AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid)))
ORDER BY 2, 4
