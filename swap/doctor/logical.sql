-- Publications of the application that publish the table: listed, with its schema, or with all tables.
SELECT quote_ident(p.pubname) AS name FROM pg_publication_tables p
WHERE p.schemaname = %(schema)s AND p.tablename = %(table)s AND p.pubname NOT LIKE 'swap\_%%' ORDER BY name
