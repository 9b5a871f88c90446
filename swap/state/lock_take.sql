-- Note that this session holds a lock. The caller has looked that no other session does, and keeps all others from it meanwhile.
INSERT INTO {lock} AS l (name, tag, pid, began, role)
SELECT {name}, {tag}, a.pid, a.backend_start, a.usesysid::bigint FROM pg_stat_get_activity(pg_backend_pid()) a
ON CONFLICT (name, tag) DO UPDATE SET pid = excluded.pid, began = excluded.began, role = excluded.role
