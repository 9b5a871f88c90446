-- What the stored expressions of relations and functions use, by (of_oid, kind, name). `uses`: every operator, as often as it is
-- there, and every function outside pg_catalog; by name, without the types of their arguments. `path`: the schemas of operators that
-- the printed text cannot name, where there is such a text: IS DISTINCT FROM, NULLIF, CASE x WHEN, JOIN USING, a comparison of rows.
-- A pg_node_tree is read as text: a name or a value in it cannot be taken for a field, since outfuncs.c escapes the spaces in names.
WITH trees(of_oid, kind, name, tree) AS (
    SELECT d.adrelid, 'column', a.attname::text, d.adbin::text
    FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT k.conrelid, 'check', k.conname::text, k.conbin::text FROM pg_constraint k WHERE k.contype = 'c' AND k.conrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT i.indrelid, 'index', c.relname::text, concat(i.indexprs::text, i.indpred::text)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT t.tgrelid, 'trigger', t.tgname::text, t.tgqual::text FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT p.polrelid, 'policy', p.polname::text, concat(p.polqual::text, p.polwithcheck::text)
    FROM pg_policy p WHERE p.polrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT r.ev_class, 'rule', r.rulename::text, concat(r.ev_qual::text, r.ev_action::text) FROM pg_rewrite r WHERE r.ev_class = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT s.stxrelid, 'statistics', s.stxname::text, s.stxexprs::text
    FROM pg_statistic_ext s WHERE s.stxrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT p.oid, 'function', '', concat(p.prosqlbody::text, p.proargdefaults::text) FROM pg_proc p WHERE p.oid = ANY (%(functions)s::oid[])
), used AS (
    SELECT t.of_oid, t.kind, t.name, o.oid, 'operator' AS what
    FROM trees t, regexp_matches(t.tree, ':opnos? (?:\(o )?([0-9 ]+)', 'g') m, regexp_split_to_table(trim(m[1]), ' +') x,
         LATERAL (SELECT x::oid AS oid WHERE x <> '') o
    UNION ALL
    SELECT DISTINCT t.of_oid, t.kind, t.name, m[1]::oid, 'function'
    FROM trees t, regexp_matches(t.tree, ':(?:funcid|aggfnoid|winfnoid) ([0-9]+)', 'g') m
), named AS (
    SELECT u.of_oid, u.kind, u.name, u.what, n.oid = 'pg_catalog'::regnamespace AS own, n.nspname::text AS schema,
           coalesce('operator ' || n.nspname || '.' || o.oprname, 'function ' || n.nspname || '.' || p.proname) AS object
    FROM used u LEFT JOIN pg_operator o ON u.what = 'operator' AND o.oid = u.oid LEFT JOIN pg_proc p ON u.what = 'function' AND p.oid = u.oid
    JOIN pg_namespace n ON n.oid = coalesce(o.oprnamespace, p.pronamespace)
)
SELECT t.of_oid::bigint, t.kind, t.name,
       ARRAY(SELECT n.object FROM named n WHERE (n.of_oid, n.kind, n.name) = (t.of_oid, t.kind, t.name) AND (n.what = 'operator' OR NOT n.own)
             ORDER BY n.object COLLATE "C") AS uses,
       ARRAY(SELECT DISTINCT n.schema FROM named n WHERE (n.of_oid, n.kind, n.name) = (t.of_oid, t.kind, t.name) AND n.what = 'operator' AND NOT n.own
             AND t.tree ~ '\{(DISTINCTEXPR|NULLIFEXPR|ROWCOMPARE|CASE(EXPR)? [^{}]*:arg \{)|:usingClause \(|:testexpr \{(BOOLEXPR|ROWCOMPARE)'
             ORDER BY n.schema) AS path
FROM trees t
WHERE t.tree <> ''
