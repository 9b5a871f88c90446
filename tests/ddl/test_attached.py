"""H30, H32, H46: objects of the tables are carried over, and are as before after a revert."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.core.errors import RefusedError
from tests.support.mode import Mode
from tests.support.servers import DatabaseServer
from tests.support.whole import MakeWhole, Whole

TABLES = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text UNIQUE, uuid_id uuid NOT NULL DEFAULT gen_random_uuid());
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, n int);
INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 30) n;
INSERT INTO sessions (user_id, n) SELECT id, id FROM users;
"""
CASES = {
    "toast options alone": "ALTER TABLE users SET (toast.autovacuum_enabled = off)",
    "storage parameters": "ALTER TABLE users SET (fillfactor = 70, toast.vacuum_truncate = off)",
    "full": "ALTER TABLE users REPLICA IDENTITY FULL",
    "nothing": "ALTER TABLE users REPLICA IDENTITY NOTHING; ALTER TABLE sessions REPLICA IDENTITY FULL",
    "using index": "ALTER TABLE users ALTER email SET NOT NULL, REPLICA IDENTITY USING INDEX users_email_key",
    "using the reference's index": """CREATE UNIQUE INDEX one ON sessions (user_id, id);
        ALTER TABLE sessions REPLICA IDENTITY USING INDEX one; ALTER TABLE sessions CLUSTER ON one""",
    "using the reference's primary key": """CREATE TABLE roles (user_id bigint REFERENCES users, role text, PRIMARY KEY (user_id, role));
        INSERT INTO roles SELECT id, 'a' FROM users;
        ALTER TABLE roles REPLICA IDENTITY USING INDEX roles_pkey; ALTER TABLE roles CLUSTER ON roles_pkey;
        COMMENT ON CONSTRAINT roles_pkey ON roles IS 'the key'; COMMENT ON INDEX roles_pkey IS 'its index'""",
    "cluster": "CREATE INDEX c ON users (email); ALTER TABLE users CLUSTER ON c",
    "exclusion": """ALTER TABLE users ADD CONSTRAINT ex EXCLUDE USING btree (email WITH =) WHERE (email <> 'x') DEFERRABLE INITIALLY DEFERRED;
        COMMENT ON CONSTRAINT ex ON users IS 'no two'; COMMENT ON INDEX ex IS 'nowhere'""",
    "exclusion over the key": "ALTER TABLE users ADD CONSTRAINT ex EXCLUDE USING btree (id WITH =, email WITH =)",
    "expression statistics": """CREATE INDEX e ON users (lower(email), (length(email))) WHERE email > 'a';
        ALTER INDEX e ALTER COLUMN 1 SET STATISTICS 500; ALTER INDEX e ALTER COLUMN 2 SET STATISTICS 0;
        CREATE INDEX f ON sessions ((n + 1), user_id); ALTER INDEX f ALTER COLUMN 1 SET STATISTICS 77""",
    "column statistics": """ALTER TABLE users ALTER id SET STATISTICS 300, ALTER email SET STATISTICS 5, ALTER email SET (n_distinct = -0.5);
        ALTER TABLE sessions ALTER user_id SET STATISTICS 200""",
    "comments": """COMMENT ON COLUMN users.id IS 'who'; COMMENT ON COLUMN users.email IS 'it''s %s';
        COMMENT ON COLUMN sessions.user_id IS 'whose'; COMMENT ON TABLE users IS '100%';
        CREATE INDEX i ON sessions (user_id); COMMENT ON INDEX i IS 'by whom'; COMMENT ON CONSTRAINT users_pkey ON users IS 'pk';
        COMMENT ON INDEX users_pkey IS 'pki'; COMMENT ON SEQUENCE users_id_seq IS 'numbers'""",
    "column grants": """GRANT SELECT (id, uuid_id, email), UPDATE (email) ON users TO reader;
        GRANT SELECT (user_id), UPDATE (user_id) ON sessions TO reader WITH GRANT OPTION; GRANT INSERT (user_id) ON sessions TO PUBLIC""",
    "tablespaces": """ALTER TABLE users SET TABLESPACE elsewhere; CREATE INDEX t ON users (email, id) TABLESPACE elsewhere WHERE id IS NOT NULL;
        ALTER TABLE users ADD CONSTRAINT ex EXCLUDE USING btree (id WITH =) USING INDEX TABLESPACE elsewhere;
        CREATE INDEX s ON sessions (user_id) TABLESPACE elsewhere WHERE user_id IS NOT NULL""",
    "access method": "ALTER TABLE users SET ACCESS METHOD heap2",
}  # fmt: skip
SUPERUSER = """DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
    GRANT CREATE ON TABLESPACE elsewhere TO swap_owner"""

# By name, as the application sees it: without the objects of swap and without the renamed integers.
ATTACHED = r"""
SELECT format('%s options=%s toast=%s identity=%s method=%s space=%s comment=%s', c.relname, c.reloptions,
              (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid), c.relreplident,
              (SELECT amname FROM pg_am m WHERE m.oid = c.relam), c.reltablespace, obj_description(c.oid, 'pg_class'))
FROM pg_class c WHERE c.relname IN ('users', 'sessions', 'roles')
UNION ALL
SELECT format('%s clustered=%s identity=%s unique=%s space=%s comment=%s constraint=%s %s %s statistics=%s', i.relname, x.indisclustered,
              x.indisreplident, x.indisunique, i.reltablespace, obj_description(i.oid, 'pg_class'), k.contype, k.condeferrable,
              obj_description(k.oid, 'pg_constraint'),
              (SELECT array_agg(a.attstattarget ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.oid))
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')
WHERE c.relname IN ('users', 'sessions', 'roles') AND i.relname !~ '(_legacy|_new|uuid_id_key|legacy_id_key)$'
UNION ALL
SELECT format('%s.%s comment=%s statistics=%s options=%s grants=%s', c.relname, a.attname, col_description(c.oid, a.attnum),
              a.attstattarget, array(SELECT o FROM unnest(a.attoptions) o WHERE o !~ '^pg_'), (SELECT array_agg(i::text ORDER BY i::text) FROM unnest(a.attacl) i))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname IN ('users', 'sessions', 'roles') AND a.attnum > 0 AND NOT a.attisdropped AND a.attname !~ '(uuid|legacy)'
ORDER BY 1
"""


def attached(one: Whole) -> list[str]:
    return [line for (line,) in one.query(ATTACHED)]


USERS_IDENTITY = re.compile(r"ALTER TABLE users .*REPLICA IDENTITY")


@pytest.fixture
def elsewhere(server: DatabaseServer) -> None:
    """Another tablespace of the server, made once."""
    with closing(psycopg.connect(server.conninfo(), autocommit=True)) as conn:
        conn.execute("SET allow_in_place_tablespaces = on")
        if not conn.execute("SELECT 1 FROM pg_tablespace WHERE spcname = 'elsewhere'").fetchone():
            conn.execute("CREATE TABLESPACE elsewhere LOCATION ''")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.usefixtures("elsewhere")
def test_comes_along_and_goes_back(case: str, whole: MakeWhole, capture_mode: Mode) -> None:
    """Not in logical mode: capture needs the source's replica identity, the default one first, and then one of its own until `finalize`."""
    if capture_mode == "logical" and USERS_IDENTITY.search(case):
        with pytest.raises(RefusedError, match="needs the default replica identity"):
            whole(TABLES, later=case, superuser=SUPERUSER)
        return
    one = whole(TABLES, later=case, superuser=SUPERUSER)
    before = attached(one)
    one.exchange("cutover")
    kept = {"trigger": "d", "logical": "i"}[capture_mode]
    assert attached(one) == [re.sub(r"^(users .* identity=)d", rf"\1{kept}", line) for line in before]
    one.exchange("revert")
    one.assert_dump("cutover")
    one.abort()
    one.assert_dump("prepare")


def test_values_that_exclude_each_other_are_exchanged(whole: MakeWhole) -> None:
    """H3 for an exclusion constraint: a stale row holds the value of another row, and both keys are queued."""
    one = whole(
        TABLES, later="ALTER TABLE users DROP CONSTRAINT users_email_key, ADD CONSTRAINT ex EXCLUDE USING btree (email WITH =)"
    )
    one.sync()
    for key, email in ((1, "x"), (2, "u1"), (1, "u2")):
        one.query(f"UPDATE users SET email = '{email}' WHERE id = {key}")
    one.m.replay(0)
    one.verify()


STATISTICS = """
CREATE STATISTICS "of users" (ndistinct, mcv) ON id, email, (lower(email)) FROM users; COMMENT ON STATISTICS "of users" IS 'a %s';
ALTER STATISTICS "of users" SET STATISTICS 50;
CREATE STATISTICS one ON (lower(email)) FROM users; CREATE STATISTICS uuids ON uuid_id, email FROM users;
CREATE SCHEMA s; CREATE STATISTICS s."of sessions" ON user_id, n FROM sessions; CREATE STATISTICS s.untouched ON id, n FROM sessions
"""
DEFINED = """
SELECT stxname::text, pg_get_statisticsobjdef(s.oid), stxstattarget, obj_description(s.oid, 'pg_statistic_ext'),
       stxdndistinct IS NOT NULL
FROM pg_statistic_ext s LEFT JOIN pg_statistic_ext_data d ON d.stxoid = s.oid
WHERE stxname !~ '(_old|_new|_legacy)$' ORDER BY 1
"""


def defined(one: Whole) -> list[tuple[Any, ...]]:
    """The definitions, with their lists sorted: the server prints a list in the order of the columns, which differs for the uuids."""
    return [
        (name, sorted(re.split(r"[ ,]+", text)), *more) for name, text, *more in one.query(DEFINED, role="superuser")
    ]  # fmt: skip


def test_extended_statistics(whole: MakeWhole) -> None:
    """H30, H22: each name stays with statistics over the columns that have the same names now. They hold values at once."""
    one = whole(TABLES, later=STATISTICS + "; ANALYZE users; ANALYZE sessions")
    before = defined(one)
    assert [name for name, *_ in before] == ["of sessions", "of users", "one", "untouched", "uuids"]
    one.exchange("cutover")
    after = defined(one)
    assert [row for row in after if row[0] != "uuids"] == [row for row in before if row[0] != "uuids"]
    (uuids,) = (row[1] for row in after if row[0] == "uuids")
    assert {"id", "email"} < set(uuids)
    one.exchange("revert")
    assert defined(one) == before
    one.assert_dump("cutover")
    one.abort()
    one.assert_dump("prepare")


def test_statistics_go_with_the_integer(whole: MakeWhole) -> None:
    """H45: statistics over an integer column do not keep it from being dropped."""
    one = whole(TABLES, later=STATISTICS)
    one.exchange("cutover")
    one.finalize(drop_legacy=True)
    assert len(defined(one)) == 5
