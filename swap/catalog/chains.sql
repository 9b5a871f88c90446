-- Tables with a foreign key to the source, over whatever columns, and tables whose columns hold its keys through a chain: a foreign
-- key to a column that is a reference itself. `oids` and `columns`: references that only the configuration knows.
WITH RECURSIVE fk AS (
    SELECT coalesce(r.oid, k.conrelid) AS rel, coalesce(a.attnum, u.col) AS col, k.confrelid AS target, u.target_col
    FROM pg_constraint k CROSS JOIN unnest(k.conkey, k.confkey) u(col, target_col)
    -- A foreign key of a partition is over a column of the partitioned table: no partition has columns of its own.
    JOIN pg_class c ON c.oid = k.conrelid
    LEFT JOIN pg_class r ON c.relispartition AND c.oid <> %(source)s AND r.oid = pg_partition_root(c.oid)
    LEFT JOIN pg_attribute o ON o.attrelid = c.oid AND o.attnum = u.col
    LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = o.attname
    -- Not a partition's part of a key: that key is the partitioned table's.
    WHERE k.contype = 'f' AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid <> k.conrelid)
), refs(rel, col) AS (
    SELECT i.indrelid, a.num FROM pg_index i, unnest(i.indkey::int2[]) a(num) WHERE i.indrelid = %(source)s AND i.indisprimary
    UNION
    SELECT a.attrelid, a.attnum FROM unnest(%(oids)s::oid[], %(columns)s::text[]) d(rel, name)
    JOIN pg_attribute a ON a.attrelid = d.rel AND a.attname = d.name AND NOT a.attisdropped
    UNION
    SELECT fk.rel, fk.col FROM refs JOIN fk ON fk.target = refs.rel AND fk.target_col = refs.col
)
SELECT r.rel::bigint AS oid FROM refs r UNION SELECT fk.rel::bigint FROM fk WHERE fk.target = %(source)s UNION SELECT %(source)s::bigint ORDER BY oid
