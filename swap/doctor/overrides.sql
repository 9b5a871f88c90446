-- Settings of the role or the database that the sessions of this tool override.
SELECT c.setting
FROM pg_db_role_setting s, unnest(s.setconfig) c(setting)
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
  AND split_part(c.setting, '=', 1) = ANY (%(names)s)
ORDER BY split_part(c.setting, '=', 1)
