-- Of tables that were partitions: what each is called in the recorded structure, and a foreign key to one of the given tables that it
-- has kept, if it is still there.
SELECT w.schema, w.name, format('%%I.%%I', w.schema, w.name) AS label,
       (SELECT min(k.conname::text) FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
        JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' JOIN pg_class f ON f.oid = k.confrelid
        JOIN pg_namespace fn ON fn.oid = f.relnamespace
        JOIN unnest(%(target_schemas)s::text[], %(targets)s::text[]) t(schema, name) ON t.schema = fn.nspname AND t.name = f.relname
        WHERE n.nspname = w.schema) AS key
FROM unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name)
