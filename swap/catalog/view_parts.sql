-- The parts of views, in the order in which they are created again. What `text` and `more` are depends on `kind`: column: its
-- default, nothing; index: its definition, its tablespace; statistics, storage, compression, options: the setting of a column.
SELECT x.rel::bigint AS of_oid, x.kind, x.name, x.text, x.more, x.num AS number, x.comment FROM (
    SELECT a.attrelid AS rel, 1 AS pos, 'column' AS kind, a.attname::text AS name, coalesce(pg_get_expr(f.adbin, f.adrelid), '') AS text,
           '' AS more, a.attnum::int AS num, coalesce(col_description(a.attrelid, a.attnum), '') AS comment
    FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT a.attrelid, 2, x.kind, a.attname::text, x.text, '', a.attnum, ''
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'm' JOIN pg_type t ON t.oid = a.atttypid,
         LATERAL (VALUES ('statistics', CASE WHEN coalesce(a.attstattarget, -1) >= 0 THEN a.attstattarget::text END),
                         ('storage', CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END),
                         ('compression', nullif(a.attcompression::text, '')),
                         ('options', (SELECT string_agg(o, ', ') FROM unnest(a.attoptions) o WHERE o !~ '^pg_'))) x(kind, text)
    WHERE a.attnum > 0 AND NOT a.attisdropped AND x.text IS NOT NULL AND a.attrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT i.indrelid, 3, 'index', ic.relname::text, pg_get_indexdef(i.indexrelid),
           coalesce((SELECT s.spcname::text FROM pg_tablespace s WHERE s.oid = ic.reltablespace), ''), 0,
           coalesce(obj_description(i.indexrelid, 'pg_class'), '')
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT i.indrelid, 4, 'index statistics', ic.relname::text, a.attstattarget::text, '', a.attnum, ''
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = i.indexrelid AND coalesce(a.attstattarget, -1) >= 0
    WHERE i.indrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT i.indrelid, 5, CASE WHEN n.n = 1 THEN 'cluster' ELSE 'replica identity' END, ic.relname::text, '', '', 0, ''
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid, generate_series(1, 2) n(n)
    WHERE i.indrelid = ANY (%(oids)s::oid[]) AND CASE WHEN n.n = 1 THEN i.indisclustered ELSE i.indisreplident END
    UNION ALL
    SELECT t.tgrelid, 6, 'trigger', t.tgname::text, pg_get_triggerdef(t.oid), '', 0, coalesce(obj_description(t.oid, 'pg_trigger'), '')
    FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT r.ev_class, 7, 'rule', r.rulename::text, pg_get_ruledef(r.oid), '', 0, coalesce(obj_description(r.oid, 'pg_rewrite'), '')
    FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_class = ANY (%(oids)s::oid[])
) x ORDER BY x.rel, x.pos, x.num, x.name
