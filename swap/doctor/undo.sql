-- The statement that makes an object again, or sets a property as it is now. `name`: of a relation, `part`: of what is on it, as SQL
-- writes both.
SELECT CASE %(kind)s
    WHEN 'index' THEN (SELECT pg_get_indexdef(i.indexrelid) || ';' FROM pg_index i WHERE i.indexrelid = to_regclass(%(name)s))
    WHEN 'statistics' THEN (SELECT pg_get_statisticsobjdef(s.oid) || format('; ALTER STATISTICS %%s OWNER TO %%I;', %(name)s, pg_get_userbyid(s.stxowner))
                            FROM pg_statistic_ext s
                            WHERE format('%%I.%%I', s.stxnamespace::regnamespace::text, s.stxname) = %(name)s)
    WHEN 'trigger' THEN (SELECT pg_get_triggerdef(t.oid) || ';' || CASE t.tgenabled
                                    WHEN 'D' THEN format(' ALTER TABLE %%s DISABLE TRIGGER %%I;', %(name)s, t.tgname)
                                    WHEN 'A' THEN format(' ALTER TABLE %%s ENABLE ALWAYS TRIGGER %%I;', %(name)s, t.tgname)
                                    WHEN 'R' THEN format(' ALTER TABLE %%s ENABLE REPLICA TRIGGER %%I;', %(name)s, t.tgname) ELSE '' END
                         FROM pg_trigger t WHERE t.tgrelid = to_regclass(%(name)s) AND quote_ident(t.tgname) = %(part)s AND NOT t.tgisinternal)
    WHEN 'rule' THEN (SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r
                      WHERE r.ev_class = to_regclass(%(name)s) AND quote_ident(r.rulename) = %(part)s)
    WHEN 'routine' THEN (SELECT pg_get_functiondef(p.oid) || format('; ALTER ROUTINE %%s OWNER TO %%I;', %(part)s, pg_get_userbyid(p.proowner))
                         FROM pg_proc p
                         WHERE p.prokind <> 'a' AND %(part)s IN (
                             format('%%I.%%I(%%s)', p.pronamespace::regnamespace::text, p.proname, pg_get_function_identity_arguments(p.oid)),
                             p.oid::regprocedure::text))
    WHEN 'constraint' THEN (SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%s %%s;', %(name)s, %(part)s, pg_get_constraintdef(k.oid))
                            FROM pg_constraint k WHERE k.conrelid = to_regclass(%(name)s) AND quote_ident(k.conname) = %(part)s)
    WHEN 'default' THEN (SELECT format('ALTER TABLE %%s ALTER COLUMN %%s SET DEFAULT %%s;', %(name)s, %(part)s, pg_get_expr(d.adbin, d.adrelid))
                         FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                         WHERE d.adrelid = to_regclass(%(name)s) AND quote_ident(a.attname) = %(part)s)
    WHEN 'type' THEN (SELECT format('ALTER TABLE %%s OF %%s;', %(name)s, c.reloftype::regtype) FROM pg_class c
                      WHERE c.oid = to_regclass(%(name)s) AND c.reloftype <> 0)
    WHEN 'identity' THEN (SELECT format('ALTER TABLE %%s REPLICA IDENTITY %%s;', %(name)s, CASE c.relreplident
                                    WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX ' || (
                                        SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                                        WHERE i.indrelid = c.oid AND i.indisreplident) END)
                          FROM pg_class c WHERE c.oid = to_regclass(%(name)s))
    WHEN 'partition' THEN (SELECT format('ALTER TABLE %%s ATTACH PARTITION %%s %%s;', %(name)s, %(part)s, pg_get_expr(c.relpartbound, c.oid))
                           FROM pg_class c WHERE c.oid = to_regclass(%(part)s))
    WHEN 'owner' THEN (SELECT format('ALTER %%s %%s OWNER TO %%I;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                                    WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, %(name)s, pg_get_userbyid(c.relowner))
                       FROM pg_class c WHERE c.oid = to_regclass(%(name)s))
    WHEN 'publication owner' THEN (SELECT format('ALTER PUBLICATION %%I OWNER TO %%I;', p.pubname, pg_get_userbyid(p.pubowner))
                                   FROM pg_publication p WHERE quote_ident(p.pubname) = %(part)s)
    WHEN 'publication' THEN (SELECT format('ALTER PUBLICATION %%s ADD TABLE %%s', %(part)s, %(name)s)
                                    || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                                                         WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')', '')
                                    || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '') || ';'
                             FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                             WHERE quote_ident(p.pubname) = %(part)s AND r.prrelid = to_regclass(%(name)s))
END
