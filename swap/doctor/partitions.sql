-- What a partition of a table with a reference has of its own, one row each. `tables`, `columns`: the references, their integers and
-- their uuid columns. `targets`: the tables of the run; a partition's own foreign key to one of them is carried over.
WITH tree AS (
    SELECT DISTINCT r.root, t.relid::oid AS oid, t.level FROM unnest(%(tables)s::oid[]) r(root), pg_partition_tree(r.root) t
), part AS (
    SELECT t.*, c.relname, c.relkind, c.relpersistence, c.relowner, c.relhasrules, c.reltype, p.relowner AS parent_owner
    FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_class p ON p.oid = t.root
), wanted AS (
    SELECT r.root, r.name FROM unnest(%(tables)s::oid[], %(columns)s::text[]) r(root, name)
), held AS (
    SELECT p.root, p.oid, p.level, a.attnum, a.attname, a.attacl, (SELECT array_agg(o ORDER BY n) FROM unnest(a.attoptions) WITH ORDINALITY u(o, n) WHERE o !~ '^pg_') AS attoptions, coalesce(a.attstattarget, -1) AS target,
           coalesce(o.attstattarget, -1) AS target_above, (SELECT array_agg(o ORDER BY n) FROM unnest(o.attoptions) WITH ORDINALITY u(o, n) WHERE o !~ '^pg_') AS options_above
    FROM part p JOIN wanted w ON w.root = p.root JOIN pg_attribute a ON a.attrelid = p.oid AND a.attname = w.name
    JOIN pg_attribute o ON o.attrelid = p.root AND o.attname = w.name
), found(root, oid, what) AS (
    SELECT root, oid, 'holds the reference in its partition key' FROM held h
    WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                    AND d.objid = h.oid AND d.refobjid = h.oid AND h.attnum IN (d.objsubid, d.refobjsubid))
    UNION ALL
    SELECT root, oid, CASE WHEN relkind NOT IN ('r', 'p') THEN 'is no ordinary table' WHEN relpersistence <> 'p' THEN 'is not logged'
                           WHEN relowner <> parent_owner THEN 'belongs to another role than the table' WHEN relhasrules THEN 'has rules'
                           ELSE 'has row security that filters for this role' END
    FROM part WHERE level > 0 AND (relkind NOT IN ('r', 'p') OR relpersistence <> 'p' OR relowner <> parent_owner OR relhasrules
                                   OR (relkind IN ('r', 'p') AND row_security_active(oid)))
    UNION ALL
    SELECT p.root, p.oid, 'has a trigger of its own, ' || t.tgname
    FROM part p JOIN pg_trigger t ON t.tgrelid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0 WHERE p.level > 0
    UNION ALL
    SELECT DISTINCT h.root, h.oid, 'has of its own over the reference: ' || pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM held h JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = h.oid AND d.refobjsubid = h.attnum
    WHERE h.level > 0 AND d.objid <> h.oid
      AND NOT EXISTS (SELECT FROM pg_class i LEFT JOIN pg_index x ON x.indexrelid = i.oid
                      WHERE d.classid = 'pg_class'::regclass AND i.oid = d.objid
                        AND (i.relispartition OR x.indisvalid AND NOT x.indisprimary AND NOT x.indisexclusion))
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
                        AND (k.conparentid <> 0 OR k.coninhcount > 0 OR k.contype IN ('n', 'u')
                             OR k.contype = 'f' AND k.confrelid = ANY (%(targets)s::oid[])))
      AND NOT EXISTS (SELECT FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND t.tgparentid <> 0)
      AND NOT EXISTS (SELECT FROM pg_attrdef f WHERE d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid AND f.adnum = h.attnum) -- its default
    UNION ALL
    SELECT DISTINCT p.root, p.oid, 'has its row type used by ' || pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM part p JOIN pg_type y ON y.oid = p.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray) AND d.deptype = 'n'
    WHERE p.level > 0
    UNION ALL
    SELECT root, oid, format('has grants, a comment, options or a statistics target of its own on the column %%I', attname)
    FROM held WHERE level > 0 AND (attacl IS NOT NULL OR target <> target_above OR attoptions IS DISTINCT FROM options_above
                                   OR col_description(oid, attnum) IS NOT NULL)
    UNION ALL
    SELECT h.root, h.oid, format('has its NOT NULL on the column %%I alone', h.attname)
    FROM held h JOIN pg_attribute b ON b.attrelid = h.oid AND b.attnum = h.attnum
    JOIN pg_attribute a ON a.attrelid = h.root AND a.attname = h.attname WHERE b.attnotnull AND NOT a.attnotnull
)
SELECT f.root::bigint AS table_oid, n.nspname AS schema, c.relname AS relation, f.what AS detail FROM found f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY f.root, n.nspname, c.relname, f.what
