-- Policies that use a whole row of one of the tables: a variable of attribute number 0 in the stored tree.
SELECT n.nspname, c.relname, p.polname::text, w.oid::regclass::text
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class w ON w.oid = ANY (%(oids)s::oid[])
WHERE coalesce(p.polqual::text, '') || ' ' || coalesce(p.polwithcheck::text, '') ~ (':varattno 0 :vartype ' || w.reltype || '\M')
ORDER BY 1, 2, 3, 4
