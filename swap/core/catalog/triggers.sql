-- User triggers (not the internal ones of foreign keys), with their enabled state.
SELECT t.tgrelid::bigint, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text,
       (t.tgtype & 1) <> 0, (t.tgtype & 2) <> 0, (t.tgtype & 4) <> 0, (t.tgtype & 8) <> 0, (t.tgtype & 16) <> 0,
       p.oid::regprocedure::text, coalesce(obj_description(t.oid, 'pg_trigger'), ''), t.tgconstraint <> 0
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
ORDER BY t.tgrelid, t.tgname
