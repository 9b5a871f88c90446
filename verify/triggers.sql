-- User triggers with their enabled state, and their functions: source text, digest as swap.prepare.objects makes it, comment.
SELECT t.tgrelid::bigint, t.tgname, t.tgenabled::text, p.prosrc,
       md5(concat_ws(E'\n', p.prosrc, p.prosecdef, array_to_string(p.proconfig, ','))), obj_description(p.oid, 'pg_proc')
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
