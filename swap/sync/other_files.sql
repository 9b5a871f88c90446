-- Which tables have another file than this transaction's snapshot shows: the function reads what is committed now.
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.oid = ANY (%(oids)s::oid[]) AND c.relfilenode <> 0 AND c.relfilenode <> pg_relation_filenode(c.oid)
