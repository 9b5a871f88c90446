-- User triggers with their enabled state, and their functions: source text, digest as swap.prepare.objects makes it, comment.
SELECT t.tgrelid::bigint, t.tgname, t.tgenabled::text, p.prosrc,
       CASE WHEN starts_with(obj_description(p.oid, 'pg_proc'), 'swap, ') THEN -- in one encoding, whatever the database's
           md5(convert_to(concat_ws(E'\n', p.prosrc, p.prosecdef, array_to_string(p.proconfig, ',')), 'UTF8')) END,
       obj_description(p.oid, 'pg_proc')
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
