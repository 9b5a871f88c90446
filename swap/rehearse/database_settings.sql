-- The settings of a database, and of roles in it, as statements for its clone.
SELECT pg_catalog.format(
           'ALTER %%s SET %%I = %%s',
           CASE WHEN r.rolname IS NULL THEN pg_catalog.format('DATABASE %%I', %(clone)s::text)
                ELSE pg_catalog.format('ROLE %%I IN DATABASE %%I', r.rolname, %(clone)s::text) END,
           pg_catalog.split_part(one.setting, '=', 1),
           -- A list of names is kept as it is written in SQL (GUC_LIST_QUOTE, pg_dump's variable_is_guc_list_quote).
           CASE WHEN pg_catalog.split_part(one.setting, '=', 1) IN
                     ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries')
                THEN pg_catalog.substr(one.setting, pg_catalog.strpos(one.setting, '=') + 1)
                ELSE pg_catalog.quote_literal(pg_catalog.substr(one.setting, pg_catalog.strpos(one.setting, '=') + 1)) END
       )
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
 CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) one(setting)
 WHERE d.datname = %(original)s
