-- User triggers, without the internal ones of foreign keys. `head` and `tail` are the definition before and after its table, as
-- pg_get_triggerdef_worker (src/backend/utils/adt/ruleutils.c) builds it.
SELECT x.tgrelid::bigint AS of_oid, x.tgname AS name, x.def AS definition, x.tgenabled::text AS enabled, (x.tgtype & 1) <> 0 AS row,
       (x.tgtype & 2) <> 0 AS before, (x.tgtype & 4) <> 0 AS on_insert, (x.tgtype & 8) <> 0 AS on_delete, (x.tgtype & 16) <> 0 AS on_update,
       x.tgfoid::regprocedure::text AS function, coalesce(obj_description(x.oid, 'pg_trigger'), '') AS comment, x.tgconstraint <> 0 AS constraint,
       ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = x.tgrelid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_trigger'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_class'::regclass
               AND d.refobjid = x.tgrelid AND d.refobjsubid > 0 ORDER BY 1) AS columns,
       x.update_of, x.head, substr(x.def, length(x.head || format('ON %%I.%%I ', x.nspname, x.relname)) + 1) AS tail,
       x.tgconstrrelid::bigint AS other_oid,
       ARRAY(SELECT e.extname::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
             WHERE d.classid = 'pg_trigger'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_extension'::regclass ORDER BY 1) AS extensions,
       coalesce(obj_description(nullif(x.tgconstraint, 0), 'pg_constraint'), '') AS constraint_comment
FROM (
    SELECT t.*, n.nspname, c.relname, pg_get_triggerdef(t.oid) AS def, u.update_of,
           format('CREATE %%sTRIGGER %%I %%s %%s ', CASE WHEN t.tgconstraint <> 0 THEN 'CONSTRAINT ' ELSE '' END, t.tgname,
                  CASE WHEN (t.tgtype & 2) <> 0 THEN 'BEFORE' WHEN (t.tgtype & 64) <> 0 THEN 'INSTEAD OF' ELSE 'AFTER' END,
                  concat_ws(' OR ', CASE WHEN (t.tgtype & 4) <> 0 THEN 'INSERT' END, CASE WHEN (t.tgtype & 8) <> 0 THEN 'DELETE' END,
                            CASE WHEN (t.tgtype & 16) <> 0 THEN 'UPDATE' || coalesce(' OF ' || (
                                SELECT string_agg(quote_ident(f.name), ', ' ORDER BY f.n)
                                FROM unnest(u.update_of) WITH ORDINALITY f(name, n)), '') END,
                            CASE WHEN (t.tgtype & 32) <> 0 THEN 'TRUNCATE' END)) AS head
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
         LATERAL (SELECT ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::int2[]) WITH ORDINALITY o(num, n)
                               JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = o.num ORDER BY o.n) AS update_of) u
    WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
) x
ORDER BY x.tgrelid, x.tgname
