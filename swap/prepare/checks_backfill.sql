-- User triggers that an UPDATE of the given columns fires. A column that does not exist yet is in no `UPDATE OF` list.
SELECT w.rel::bigint, t.tgname::text, t.tgenabled::text, p.oid::regprocedure::text
FROM unnest(%(oids)s::oid[], %(columns)s::text[]) w(rel, name)
JOIN pg_trigger t ON t.tgrelid = w.rel AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 16) <> 0
JOIN pg_proc p ON p.oid = t.tgfoid
LEFT JOIN pg_attribute a ON a.attrelid = w.rel AND a.attname = w.name
WHERE t.tgattr::text = '' OR a.attnum = ANY (t.tgattr::int2[])
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2
