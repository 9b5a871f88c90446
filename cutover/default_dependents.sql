-- Whatever calls one of the look-ups of defaults, which go with the mapping.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS dependent
FROM unnest(%(functions)s::text[]) f JOIN pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = to_regprocedure(f) AND d.deptype = 'n'
ORDER BY 1
