-- Tables that the source's own foreign keys point to: may this role create such a foreign key again?
SELECT DISTINCT k.confrelid::bigint, k.conname::text, a.attname::text,
       has_column_privilege(k.confrelid, a.attnum, 'REFERENCES')
FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)
WHERE k.contype = 'f' AND k.conrelid = %(source)s AND k.confrelid <> k.conrelid
ORDER BY 2, 3
