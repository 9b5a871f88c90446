-- Roles whose sessions are to be ended: whether they exist, what they are, and whether this role may see and end their sessions.
SELECT w.name, r.oid IS NOT NULL AS found, coalesce(r.rolsuper, false) AS superuser, coalesce(r.rolreplication, false) AS replication,
       coalesce(pg_has_role(r.oid, 'USAGE'), false)
         OR pg_has_role('pg_signal_backend', 'USAGE') AND pg_has_role('pg_read_all_stats', 'USAGE') AS may_end,
       current_user::text AS me
FROM unnest(%(roles)s::text[]) WITH ORDINALITY w(name, n) LEFT JOIN pg_roles r ON r.rolname = w.name
ORDER BY w.n
