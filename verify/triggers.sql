-- User triggers with their enabled state, and their functions: source text, digest as swap.ddl.capture makes it, comment. The
-- digest is computed in one encoding, whatever the encoding of the database.
SELECT t.tgrelid::bigint AS table_oid, t.tgname::text AS name, t.tgenabled::text AS enabled, p.prosrc AS body,
       CASE WHEN starts_with(obj_description(p.oid, 'pg_proc'), 'swap, ') THEN
           md5(convert_to(concat_ws(E'\n', p.prosrc, p.prosecdef, array_to_string(p.proconfig, ',')), 'UTF8')) END AS digest,
       obj_description(p.oid, 'pg_proc') AS comment
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal
