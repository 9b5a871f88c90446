-- Privileges that an owner has by default and that this table's owner has given up; of a table with a reference only those that a run
-- uses.
SELECT c.oid::bigint AS table_oid, x.privilege_type AS privilege FROM pg_class c, aclexplode(acldefault('r', c.relowner)) x
WHERE c.oid = ANY (%(oids)s::oid[]) AND c.relacl IS NOT NULL AND x.grantee = c.relowner
  AND (c.oid = ANY (%(sources)s::oid[]) OR x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES', 'TRIGGER'))
  AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) y WHERE y.grantee = c.relowner AND y.privilege_type = x.privilege_type)
ORDER BY c.oid, x.privilege_type
