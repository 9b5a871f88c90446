-- The settings that a session of the owner begins with, as far as they can change what an expression gives: those of `values` as
-- this server sets them, and whatever ALTER ROLE and ALTER DATABASE set, except `kept`. Which one goes first: process_settings in
-- src/backend/utils/init/postinit.c.
WITH stored AS (
    SELECT DISTINCT ON (lower(x.name)) x.name, x.value
    FROM pg_db_role_setting s, unnest(s.setconfig) c(item),
         LATERAL (SELECT split_part(c.item, '=', 1) AS name, substr(c.item, strpos(c.item, '=') + 1) AS value) x
    WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
      AND s.setrole IN (0, (SELECT r.oid FROM pg_roles r WHERE r.rolname = %(owner)s))
    ORDER BY lower(x.name), s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
)
SELECT coalesce(p.name, s.name) AS name, coalesce(s.value, p.reset_val) AS value
FROM (SELECT * FROM pg_settings p WHERE p.context = 'user') p FULL JOIN stored s ON lower(s.name) = lower(p.name)
WHERE (lower(p.name) = ANY (%(values)s) OR s.name IS NOT NULL)
  AND lower(coalesce(p.name, s.name)) <> ALL (%(kept)s)
  -- A setting that this role may not change, or an extension's that is not loaded here.
  AND (p.name IS NOT NULL OR s.name LIKE '%%.%%' AND NOT EXISTS (SELECT FROM pg_settings x WHERE lower(x.name) = lower(s.name)))
ORDER BY 1
