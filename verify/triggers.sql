-- User triggers with their enabled state and the source text of their functions.
SELECT t.tgrelid::bigint, t.tgname, t.tgenabled::text, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
