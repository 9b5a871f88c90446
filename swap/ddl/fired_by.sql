    -- Only a trigger of the table that this was made for may fire it. A table with another name is looked at more closely:
    -- a partition, or one renamed. (No name stands in a comment: a line feed in it would end the comment.)
    IF TG_TABLE_NAME OPERATOR(pg_catalog.<>) {name}::pg_catalog.name OR TG_TABLE_SCHEMA OPERATOR(pg_catalog.<>) {schema}::pg_catalog.name THEN
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID)
              AND (pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) {owner}::pg_catalog.name
                   OR c.relname OPERATOR(pg_catalog.=) {name}::pg_catalog.name AND n.nspname OPERATOR(pg_catalog.=) {schema}::pg_catalog.name)
        ) THEN
            RAISE EXCEPTION 'a trigger of table % calls a function that belongs to %', TG_RELID::pg_catalog.regclass, {label}
                USING ERRCODE = 'insufficient_privilege', HINT = 'Drop the trigger: swap did not create it.';
        END IF;
    END IF;
