-- The structure of the given tables as lines. They are compared before every step that cannot be taken back: drift.
SELECT c.oid::regclass::text AS tab, x.line FROM pg_class c, LATERAL (
    SELECT format('table owner=%s kind=%s rls=%s/%s options=%s replident=%s', pg_get_userbyid(c.relowner), c.relkind,
                  c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relreplident) AS line
    UNION ALL SELECT format('grant %s', i.item) FROM unnest(c.relacl) i(item)
    UNION ALL SELECT format('partition of %s %s', h.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid))
    FROM pg_inherits h WHERE h.inhrelid = c.oid AND c.relispartition
    UNION ALL
    SELECT format('column %I %s%s default=%s identity=%s generated=%s acl=%s', a.attname, format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attacl)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('constraint %I %s valid=%s', k.conname, pg_get_constraintdef(k.oid), k.convalidated)
    FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n'
    UNION ALL
    SELECT format('index %s valid=%s', pg_get_indexdef(i.indexrelid), i.indisvalid AND i.indisready) FROM pg_index i WHERE i.indrelid = c.oid
    UNION ALL
    -- A partition that was detached and attached again has new parts of the triggers, with the same text. Meanwhile it had none, and
    -- no trigger guarded its rows: so the oid of the part is in the line.
    SELECT format('trigger %s enabled=%s%s', pg_get_triggerdef(t.oid), t.tgenabled, CASE WHEN t.tgparentid <> 0 THEN ' attached=' || t.oid END)
    FROM pg_trigger t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT format('policy %I permissive=%s cmd=%s roles=%s using=%s check=%s', p.polname, p.polpermissive, p.polcmd, p.polroles::regrole[],
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p WHERE p.polrelid = c.oid
    UNION ALL
    SELECT DISTINCT format('policy %I of %s permissive=%s cmd=%s roles=%s using=%s check=%s', p.polname, p.polrelid::regclass,
                           p.polpermissive, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_depend dp JOIN pg_policy p ON p.oid = dp.objid AND p.polrelid <> c.oid
    WHERE dp.classid = 'pg_policy'::regclass AND dp.refclassid = 'pg_class'::regclass AND dp.refobjid = c.oid
    UNION ALL
    SELECT format('sequence %s of %I %s start=%s increment=%s bounds=%s..%s cache=%s cycle=%s acl=%s', s.oid::regclass, a.attname,
                  q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle, s.relacl)
    FROM pg_depend ds JOIN pg_class s ON s.oid = ds.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_attribute a ON a.attrelid = ds.refobjid AND a.attnum = ds.refobjsubid
    WHERE ds.classid = 'pg_class'::regclass AND ds.refclassid = 'pg_class'::regclass AND ds.refobjid = c.oid AND ds.deptype IN ('a', 'i')
    UNION ALL
    SELECT format('publication %I columns=%s where=%s', p.pubname,
                  ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (pr.prattrs::int2[]) ORDER BY a.attnum),
                  pg_get_expr(pr.prqual, pr.prrelid))
    FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid WHERE pr.prrelid = c.oid
    UNION ALL
    SELECT format('label %s %s %L', l.provider, quote_ident(a.attname), l.label)
    FROM pg_seclabel l LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
    WHERE l.objoid = c.oid AND l.classoid = 'pg_class'::regclass
    UNION ALL
    SELECT format('publication %I of more than this table', p.pubname) FROM pg_publication p
    WHERE p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace pn WHERE pn.pnpubid = p.oid AND pn.pnnspid = c.relnamespace)
    UNION ALL
    -- From here on: lines that a run of an older version has not recorded (LATER in swap/prepare/drift.py). The number of a column tells
    -- one that was dropped and added again, which took its values along.
    SELECT format('attribute %I number=%s collation=%s storage=%s compression=%s statistics=%s options=%s', a.attname, a.attnum,
                  CASE WHEN a.attcollation <> 0 THEN a.attcollation::regcollation END, a.attstorage, nullif(a.attcompression::text, ''),
                  nullif(coalesce(a.attstattarget, -1), -1),
                  (SELECT array_agg(o ORDER BY n) FROM unnest(a.attoptions) WITH ORDINALITY u(o, n) WHERE o !~ '^pg_'))
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('storage persistence=%s tablespace=%s method=%s toast=%s type=%s', c.relpersistence, c.reltablespace, c.relam,
                  (SELECT o.reloptions FROM pg_class o WHERE o.oid = c.reltoastrelid), nullif(c.reloftype, 0)::regtype)
    UNION ALL
    -- Without the CLUSTER mark: CLUSTER with USING sets it, and the rows that it moves are followed.
    SELECT format('indexed %I replident=%s tablespace=%s targets=%s', ic.relname, i.indisreplident, ic.reltablespace,
                  (SELECT array_agg(a.attnum || ':' || a.attstattarget ORDER BY a.attnum) FROM pg_attribute a
                   WHERE a.attrelid = ic.oid AND coalesce(a.attstattarget, -1) >= 0))
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid
    UNION ALL
    SELECT format('rule enabled=%s %s', r.ev_enabled, pg_get_ruledef(r.oid)) FROM pg_rewrite r WHERE r.ev_class = c.oid AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT format('child %s', h.inhrelid::regclass) FROM pg_inherits h JOIN pg_class hc ON hc.oid = h.inhrelid
    WHERE h.inhparent = c.oid AND NOT hc.relispartition
    UNION ALL
    SELECT format('parent %s', h.inhparent::regclass) FROM pg_inherits h WHERE h.inhrelid = c.oid AND NOT c.relispartition
    UNION ALL
    SELECT format('comment %I %s', coalesce(a.attname, '-'), quote_literal(d.description))
    FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
    UNION ALL
    SELECT format('comment %I %s', k.conname, quote_literal(d.description)) FROM pg_constraint k
    JOIN pg_description d ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid WHERE k.conrelid = c.oid
    UNION ALL
    SELECT format('comment %I %s', ic.relname, quote_literal(d.description)) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
    JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = ic.oid WHERE i.indrelid = c.oid
    UNION ALL
    SELECT format('comment %I %s', t.tgname, quote_literal(d.description)) FROM pg_trigger t
    JOIN pg_description d ON d.classoid = 'pg_trigger'::regclass AND d.objoid = t.oid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT format('comment %I %s', p.polname, quote_literal(d.description)) FROM pg_policy p
    JOIN pg_description d ON d.classoid = 'pg_policy'::regclass AND d.objoid = p.oid WHERE p.polrelid = c.oid
    UNION ALL
    SELECT format('comment %I %s', xs.stxname, quote_literal(d.description)) FROM pg_statistic_ext xs
    JOIN pg_description d ON d.classoid = 'pg_statistic_ext'::regclass AND d.objoid = xs.oid WHERE xs.stxrelid = c.oid
    UNION ALL
    SELECT format('statistics %I target=%s %s', xs.stxname, coalesce(xs.stxstattarget, -1), pg_get_statisticsobjdef(xs.oid))
    FROM pg_statistic_ext xs WHERE xs.stxrelid = c.oid
    -- The trap of an exchange (swap/ddl/exact_reads.py) comes and goes.
    AND NOT (xs.stxname ~ '_reads_[0-9]+$' AND EXISTS (
        SELECT FROM pg_depend xd JOIN pg_proc xp ON xp.oid = xd.refobjid AND xp.pronamespace = xs.stxnamespace AND xp.proname ~ '_reads$'
        WHERE xd.classid = 'pg_statistic_ext'::regclass AND xd.objid = xs.oid AND xd.refclassid = 'pg_proc'::regclass))
) x
WHERE c.oid = ANY ({oids}::oid[])
UNION ALL
-- Through pg_depend: pg_constraint has no index on confrelid, and a scan of it takes long where there are many tables. This query
-- also runs under the exchange's lock.
SELECT k.confrelid::regclass::text, format('referenced by %s constraint %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k WHERE k.confrelid = ANY ({oids}::oid[])
AND k.oid IN (SELECT d.objid FROM pg_depend d
              WHERE d.classid = 'pg_constraint'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ({oids}::oid[]))
ORDER BY 1, 2
