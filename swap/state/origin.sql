-- Where this session is: what tells the database of a run from a copy of it. Catalogs and functions of the server's own alone:
-- nothing of the state schema is read. `relation`: its table `run`. `readable`: those of its tables that are there and may be read.
WITH state AS (SELECT n.oid FROM pg_namespace n WHERE n.nspname = %(schema)s)
SELECT {system} AS system, {timeline} AS timeline,
       (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database()) AS database,
       (SELECT c.oid::bigint FROM state s JOIN pg_class c ON c.relnamespace = s.oid WHERE c.relname = 'run') AS relation,
       current_setting('server_version_num')::int AS server_version,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_xid,
       ARRAY(SELECT c.relname::text FROM state s JOIN pg_class c ON c.relnamespace = s.oid
             WHERE c.relname = ANY (%(tables)s::text[]) AND c.relkind = 'r'
               AND has_schema_privilege(s.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) AS readable
