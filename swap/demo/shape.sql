-- The columns of the example's tables, in one statement, so in one snapshot of the catalog.
-- guarded: it has a BEFORE INSERT row trigger (tgtype: 1 row, 2 before, 4 insert). The application itself has none.
SELECT c.relname AS name,
       array_agg(a.attname::text ORDER BY a.attnum) AS names,
       array_agg(a.atttypid::regtype::text ORDER BY a.attnum) AS types,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                  AND t.tgtype::int & 7 = 7) AS guarded
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'public'::regnamespace
   AND c.relname IN ('users', 'sessions', 'api_access_tokens', 'partner_applications', 'user_roles', 'audit_logs')
 GROUP BY c.oid, c.relname
