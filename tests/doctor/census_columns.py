"""Every column of the catalogs that describe a table and its parts, and how it is carried over.

`read in FILE`: a query reads the column. `printed by FUNCTION`: that function prints it, and a query calls the function. `-`: it does
not matter, and why. The test fails for a column that no line names: that is how a new attribute of a new version of PostgreSQL is
noticed (I10).
"""

from __future__ import annotations

CLAIMS = {
    "pg_class": {
        "oid relname relnamespace relowner relam reloftype reltablespace relreplident reloptions": "read in tables.sql",
        "relpersistence relkind relrowsecurity relforcerowsecurity reltoastrelid": "read in tables.sql",
        "reltuples": "read in tables.sql",
        "relacl": "read in grants.sql",
        "reltype": "read in census.sql",
        "relfilenode relisshared relpages relallvisible relallfrozen relfrozenxid relminmxid": "- of the files, not of the schema",
        "relhasindex relchecks relhasrules relhastriggers relhassubclass relnatts": "- derived: the parts themselves are read",
        "relispopulated": "- of materialized views: read with them",
        "relispartition relpartbound": "read in structure.sql",
        "relrewrite": "- while DDL rewrites the table",
    },
    "pg_attribute": {
        "attrelid attname attnum atttypid atttypmod attnotnull attidentity attgenerated": "read in columns.sql",
        "attcollation attstorage attcompression attstattarget attoptions attisdropped": "read in columns.sql",
        "attacl": "read in grants.sql",
        "atthasdef": "- derived: pg_attrdef is read",
        "attlen attbyval attalign": "- of the type",
        "attndims": "- neither enforced nor printed",
        "attcacheoff": "- a cache",
        "atthasmissing attmissingval": "- how a default is stored for rows older than the column; they read the same",
        "attislocal attinhcount": "- inheritance is refused",
        "attfdwoptions": "- foreign tables are refused",
    },
    "pg_attrdef": {"oid": "- an address", "adrelid adnum adbin": "read in columns.sql"},
    "pg_index": {
        "indexrelid indrelid indisunique indisprimary indisexclusion indisclustered indisvalid indisready": "read in indexes.sql",
        "indisreplident indkey indnkeyatts indexprs indpred": "read in indexes.sql",
        "indnullsnotdistinct indcollation indclass indoption indnatts": "printed by pg_get_indexdef",
        "indimmediate": "- derived: condeferrable is read",
        "indcheckxmin": "- of a build beside writers",
        "indislive": "- of a drop beside writers",
    },
    "pg_constraint": {
        "oid conname contype conrelid confrelid condeferrable convalidated conkey confkey": "read in constraints.sql",
        "conparentid coninhcount": "read in constraints.sql",
        "condeferred conindid": "read in indexes.sql",
        "confupdtype confdeltype confmatchtype confdelsetcols conperiod conenforced": "printed by pg_get_constraintdef",
        "connoinherit conexclop conbin": "printed by pg_get_constraintdef",
        "connamespace contypid": "- of the table, of domains",
        "conislocal": "- inheritance is refused",
        "conpfeqop conppeqop conffeqop": "- derived from the types, again for the new ones",
    },
    "pg_trigger": {
        "oid tgrelid tgname tgfoid tgtype tgenabled tgisinternal tgconstraint": "read in triggers.sql",
        "tgconstrrelid tgdeferrable tginitdeferred tgnargs tgattr tgargs tgqual tgoldtable tgnewtable": "printed by pg_get_triggerdef",
        "tgconstrindid": "- of the triggers of foreign keys",
        "tgparentid": "- of a partition's part of a trigger: others are refused",
    },
    "pg_policy": {
        "oid polname polrelid polcmd polpermissive polroles polqual polwithcheck": "read in policies.sql",
    },
    "pg_publication_rel": {"oid prpubid prrelid prqual prattrs": "read in publications.sql"},
    "pg_statistic_ext": {
        "oid stxrelid stxname stxnamespace stxowner stxstattarget stxkeys stxkind": "read in statistics.sql",
        "stxexprs": "printed by pg_get_statisticsobjdef_columns",
    },
    "pg_sequence": {
        "seqrelid seqtypid seqstart seqincrement seqmax seqmin seqcache seqcycle": "read in sequences.sql",
    },
}
