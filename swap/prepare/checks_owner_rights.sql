-- Privileges that an owner has of itself and that this table's owner has no more.
SELECT x.privilege_type FROM pg_class c, aclexplode(acldefault('r', c.relowner)) x
WHERE c.oid = %(source)s AND c.relacl IS NOT NULL AND x.grantee = c.relowner
  AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) y WHERE y.grantee = c.relowner AND y.privilege_type = x.privilege_type)
ORDER BY 1
