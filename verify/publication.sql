-- How a publication captures some tables: all kinds of changes, the columns, a row filter, the replica identity of the table, and
-- the transactions that wrote these rows of the catalog.
SELECT n.nspname::text AS schema, c.relname::text AS table,
       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS every_change,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs::int2[]) ORDER BY a.attnum) AS columns,
       r.prqual IS NOT NULL AS filtered,
       ARRAY(SELECT a.attname::text
             FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
             WHERE i.indrelid = c.oid
               AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) AS identity,
       ARRAY[p.xmin::text::bigint, r.xmin::text::bigint] AS written_by
FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name) ON n.nspname = w.schema AND c.relname = w.name
WHERE p.pubname = %(name)s
