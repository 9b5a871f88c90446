-- Expressions of the tables that the server evaluates when a row is written: CHECKs, stored generated columns, indexes.
-- `changeable`: it calls something that is not immutable, as far as the catalog tells. `own`: it calls a function that is
-- not compiled code.
WITH found AS (
    SELECT k.conrelid AS rel, 'check' AS kind, k.conname::text AS name, pg_get_expr(k.conbin, k.conrelid) AS expression, 'true' AS condition,
           k.conbin::text AS tree, k.convalidated AS validated
    FROM pg_constraint k
    WHERE k.contype = 'c' AND k.conrelid = ANY (%(oids)s::oid[]) AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
    UNION ALL
    SELECT a.attrelid, 'generated', a.attname::text, pg_get_expr(d.adbin, d.adrelid), 'true', d.adbin::text, true
    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attgenerated = 's' AND a.attrelid = ANY (%(oids)s::oid[])
    UNION ALL
    SELECT i.indrelid, 'index', c.relname::text,
           coalesce((SELECT string_agg(pg_get_indexdef(i.indexrelid, k.n::int, false), ', ' ORDER BY k.n)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, n) WHERE k.num = 0), 'NULL'),
           coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'), concat(i.indexprs::text, i.indpred::text), true
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = ANY (%(oids)s::oid[]) AND i.indisvalid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
), texts AS (  -- an enum's label as text: STABLE to the server, as a label can be renamed, which no row and no setting does
    SELECT f.rel, f.kind, f.name, count(*) AS number
    FROM found f, regexp_matches(f.tree, '\{COERCEVIAIO :arg \{VAR [^{}]*:vartype ([0-9]+)[^{}]*\} :resulttype (?:25|1042|1043) ', 'g') m,
         pg_type t
    WHERE t.oid = m[1]::oid AND t.typtype = 'e'
    GROUP BY 1, 2, 3
), called AS (
    SELECT f.rel, f.kind, f.name, p.provolatile, l.lanname
    FROM found f, regexp_matches(f.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m, pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid = m[1]::oid
)
SELECT f.rel::bigint AS table_oid, f.kind, f.name, f.expression, f.condition, f.validated,
       f.tree ~ '\{(SQLVALUEFUNCTION|NEXTVALUEEXPR)'
         OR regexp_count(f.tree, '\{COERCEVIAIO ') > coalesce((SELECT number FROM texts t WHERE (t.rel, t.kind, t.name) = (f.rel, f.kind, f.name)), 0)
         OR EXISTS (SELECT FROM called c WHERE (c.rel, c.kind, c.name) = (f.rel, f.kind, f.name) AND c.provolatile <> 'i') AS changeable,
       EXISTS (SELECT FROM called c WHERE (c.rel, c.kind, c.name) = (f.rel, f.kind, f.name)
               AND c.lanname NOT IN ('internal', 'c')) AS own
FROM found f
ORDER BY f.rel, f.kind, f.name
