-- Policies that use a whole row of one of the tables: a variable with attribute number 0 in the stored expression.
SELECT n.nspname AS schema, c.relname AS relation, p.polname::text AS policy, w.oid::regclass::text AS reads
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class w ON w.oid = ANY (%(oids)s::oid[])
WHERE coalesce(p.polqual::text, '') || ' ' || coalesce(p.polwithcheck::text, '') ~ (':varattno 0 :vartype ' || w.reltype || '\M')
ORDER BY schema, relation, policy, reads
