-- Who decides what code runs on these tables: their owners, and the owners of functions that parts of them call. A row for each of them
-- for whom this session could become a superuser, or a role that reaches files and programs of the server, and they could not.
WITH power AS (
    SELECT r.oid, r.rolname FROM pg_roles r
    WHERE (r.rolsuper OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
      AND pg_has_role(session_user, r.oid, 'MEMBER')
), tab AS (
    SELECT c.oid, n.nspname, c.relname, c.relowner FROM unnest(%(schemas)s::text[], %(tables)s::text[]) w(schema, name)
    JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
), part AS (
    SELECT k.conrelid AS tab, 'pg_constraint'::regclass AS classid, k.oid AS objid FROM pg_constraint k
    UNION ALL SELECT d.adrelid, 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d
    UNION ALL SELECT i.indrelid, 'pg_class'::regclass, i.indexrelid FROM pg_index i
    UNION ALL SELECT t.tgrelid, 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL SELECT r.ev_class, 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r
    UNION ALL SELECT a.attrelid, 'pg_constraint'::regclass, k.oid FROM pg_attribute a JOIN pg_constraint k ON k.contypid = a.atttypid
              WHERE a.attnum > 0 AND NOT a.attisdropped AND k.contypid <> 0
), code AS (
    SELECT tab.oid, tab.nspname, tab.relname, tab.relowner AS owner, NULL::regprocedure AS function FROM tab
    UNION SELECT tab.oid, tab.nspname, tab.relname, p.proowner, p.oid::regprocedure FROM tab JOIN part ON part.tab = tab.oid
          JOIN pg_depend d ON d.classid = part.classid AND d.objid = part.objid AND d.refclassid = 'pg_proc'::regclass
          JOIN pg_proc p ON p.oid = d.refobjid
)
SELECT c.nspname AS schema, c.relname AS "table", pg_get_userbyid(c.owner)::text AS owner, session_user::text AS role, min(w.rolname)::text AS power,
       coalesce(string_agg(DISTINCT c.function::text, ', '), '') AS functions
FROM code c, power w WHERE NOT pg_has_role(c.owner, w.oid, 'MEMBER')
GROUP BY c.nspname, c.relname, c.owner ORDER BY 1, 2, 3
