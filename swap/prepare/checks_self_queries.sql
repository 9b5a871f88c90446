-- Policies of the table whose expression reads the table itself: a range table entry of its own oid in the stored tree.
SELECT p.polname::text FROM pg_policy p
WHERE p.polrelid = %(source)s
  AND (coalesce(p.polqual::text, '') || ' ' || coalesce(p.polwithcheck::text, '')) ~ (':relid ' || p.polrelid || '\M')
ORDER BY 1
