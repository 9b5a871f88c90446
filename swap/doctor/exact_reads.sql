-- The statement after which the current role has the right of pg_read_all_stats: to be a member is not enough, the role has to inherit.
SELECT CASE WHEN r.rolinherit AND NOT pg_has_role('pg_read_all_stats', 'MEMBER') THEN format('GRANT pg_read_all_stats TO %I;', r.rolname)
            WHEN current_setting('server_version_num')::int >= 160000 THEN format('GRANT pg_read_all_stats TO %I WITH INHERIT TRUE;', r.rolname)
            ELSE format('ALTER ROLE %1$I INHERIT; GRANT pg_read_all_stats TO %1$I;', r.rolname) END
FROM pg_roles r WHERE r.rolname = current_user
