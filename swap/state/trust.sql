-- Why a schema of this name is not the state schema: its owner, the owners of what is in it, and the shape of what the journal
-- reads. No row: it is one, or there is no such schema. Reads catalogs of the server's own, so nothing of the schema's is executed.
--
-- All that is in a schema depends on it, and each such object has its owner in pg_shdepend. The bootstrap superuser (10) is not in
-- there: src/backend/catalog/pg_shdepend.c, recordDependencyOnOwner. Functions, operators and operator classes of the server's own
-- are pinned, and in no pg_depend: what names one there names another one.
WITH state AS (
    SELECT n.oid, n.nspowner, n.nspacl FROM pg_namespace n WHERE n.nspname = %(schema)s
), journal AS (
    SELECT c.*, c.relname::text AS called FROM state s JOIN pg_class c ON c.relnamespace = s.oid
    WHERE c.relkind NOT IN ('i', 'I', 't', 'S')
      AND (c.relname = ANY (%(tables)s::text[]) OR c.relname ~ '_[0-9]+_changes_[01]$')
), wanted AS (
    SELECT w.tab, w.col, CASE WHEN w.type = 'phase' THEN (SELECT y.oid FROM state s JOIN pg_type y ON y.typnamespace = s.oid AND y.typname = 'phase')
                              ELSE to_regtype(w.type)::oid END AS type
    FROM unnest(%(in_table)s::text[], %(columns)s::text[], %(types)s::text[]) w(tab, col, type)
), member AS (
    SELECT d.classid, d.objid, coalesce(o.refobjid, 10) AS owner, pg_describe_object(d.classid, d.objid, 0) AS name,
           CASE d.classid WHEN 'pg_class'::regclass THEN (SELECT c.relkind IN ('v', 'm') AND c.relname ~ '_[0-9]+_[0-9]+$' FROM pg_class c WHERE c.oid = d.objid)
                          WHEN 'pg_proc'::regclass THEN (SELECT p.proname ~ '_[0-9]+_[0-9]+$' FROM pg_proc p WHERE p.oid = d.objid)
                          ELSE false END AS set_aside
    FROM state s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid AND d.deptype = 'n'
    LEFT JOIN pg_shdepend o ON o.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
         AND o.classid = d.classid AND o.objid = d.objid AND o.objsubid = 0 AND o.deptype = 'o'
), part AS (
    SELECT j.called, 'pg_attrdef'::regclass AS classid, a.oid AS objid FROM journal j JOIN pg_attrdef a ON a.adrelid = j.oid
    UNION ALL SELECT j.called, 'pg_class'::regclass, i.indexrelid FROM journal j JOIN pg_index i ON i.indrelid = j.oid
    UNION ALL SELECT j.called, 'pg_statistic_ext'::regclass, x.oid FROM journal j JOIN pg_statistic_ext x ON x.stxrelid = j.oid
)
SELECT 'schema' AS kind, format('the schema %%I', %(schema)s) AS object, pg_get_userbyid(s.nspowner)::text AS owner, '' AS detail FROM state s
WHERE s.nspowner <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
  AND s.nspowner IS DISTINCT FROM (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                   WHERE n.nspname = %(source_schema)s AND c.relname = %(source_table)s AND c.relkind IN ('r', 'p'))
UNION ALL
-- A view or function that an exchange set aside keeps its owner. Who may not create anything in the schema can put nothing there.
SELECT 'object', m.name, pg_get_userbyid(m.owner)::text, '' FROM state s, member m
WHERE m.owner <> s.nspowner AND NOT m.set_aside AND NOT coalesce((SELECT r.rolsuper FROM pg_roles r WHERE r.oid = m.owner), false)
UNION ALL
SELECT 'acl', format('the schema %%I', %(schema)s), CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ''
FROM state s, aclexplode(s.nspacl) x WHERE x.privilege_type = 'CREATE' AND x.grantee <> s.nspowner
UNION ALL
SELECT 'shape', format('%%I.%%I', %(schema)s, f.called), pg_get_userbyid(f.relowner)::text, f.detail FROM (
    SELECT j.called, j.relowner, CASE j.relkind WHEN 'v' THEN 'is a view' WHEN 'm' THEN 'is a materialized view' WHEN 'f' THEN 'is a foreign table'
                                       ELSE 'is no ordinary table' END AS detail FROM journal j WHERE j.relkind <> 'r' OR j.relpersistence <> 'p'
    UNION ALL SELECT j.called, j.relowner, 'has row security' FROM journal j WHERE j.relrowsecurity OR j.relforcerowsecurity
    UNION ALL SELECT j.called, j.relowner, format('has the rule %%I', r.rulename) FROM journal j JOIN pg_rewrite r ON r.ev_class = j.oid AND j.relkind <> 'v'
    UNION ALL SELECT j.called, j.relowner, format('has the trigger %%I', t.tgname) FROM journal j JOIN pg_trigger t ON t.tgrelid = j.oid AND NOT t.tgisinternal
              JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = p.proowner)
    UNION ALL SELECT j.called, j.relowner, 'inherits, or is inherited from' FROM journal j JOIN pg_inherits i ON j.oid IN (i.inhrelid, i.inhparent)
    UNION ALL SELECT j.called, j.relowner, format('has the check %%I', k.conname) FROM journal j JOIN pg_constraint k ON k.conrelid = j.oid AND k.contype = 'c'
    UNION ALL SELECT j.called, j.relowner, format('has the index %%s of an expression', i.indexrelid::regclass) FROM journal j JOIN pg_index i ON i.indrelid = j.oid
              WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT j.called, j.relowner, format('needs %%s', pg_describe_object(d.refclassid, d.refobjid, 0)) FROM part p JOIN journal j USING (called)
              JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid
                   AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass)
    UNION ALL SELECT j.called, j.relowner, format('has the generated column %%I', a.attname) FROM journal j JOIN pg_attribute a ON a.attrelid = j.oid
              WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''
    UNION ALL SELECT j.called, j.relowner, format('has a column %%I of type %%s', a.attname, format_type(a.atttypid, NULL)) FROM journal j
              JOIN pg_attribute a ON a.attrelid = j.oid AND a.attnum > 0 AND NOT a.attisdropped
              JOIN pg_type y ON y.oid = a.atttypid
              LEFT JOIN wanted w ON w.tab = j.called AND w.col = a.attname
              WHERE CASE WHEN w.tab IS NOT NULL THEN a.atttypid IS DISTINCT FROM w.type OR y.typtype NOT IN ('b', 'e')
                         ELSE y.typnamespace <> 'pg_catalog'::regnamespace END
    UNION ALL SELECT 'phase', y.typowner, format('has the cast from %%s to %%s', format_type(k.castsource, NULL), format_type(k.casttarget, NULL))
              FROM state s JOIN pg_type y ON y.typnamespace = s.oid JOIN pg_cast k ON y.oid IN (k.castsource, k.casttarget)
) f
