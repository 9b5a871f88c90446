"""I9, H16, H29: what the two keys side by side tell, and to whom; and what row security does to what is filled again."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from psycopg import errors, sql

from tests.support.commands import Cli
from tests.support.migration import ROLES, install
from tests.support.operator import Operator
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, note text);
INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 3) n;
INSERT INTO sessions (user_id) VALUES (1), (2);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON users TO app USING (email = current_setting('app.email', true));
"""
READER = """
DO $$ BEGIN CREATE ROLE pair_reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
GRANT USAGE ON SCHEMA public TO pair_reader;
GRANT SELECT (id, email) ON users TO pair_reader;
GRANT SELECT (id, user_id), INSERT (user_id) ON sessions TO pair_reader;
GRANT USAGE ON SEQUENCE sessions_id_seq TO pair_reader
"""
IN_PLACE = '[[reference]]\ntable = "public.sessions"\ncolumn = "user_id"\nstrategy = "column"\n'
READABLE = """
SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid IN ('users'::regclass, 'sessions'::regclass) AND has_column_privilege('pair_reader', c.oid, a.attnum, 'SELECT') ORDER BY 1
"""


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> Operator:
    """Prepared and caught up, with both keys side by side in the reference."""
    install(database, SCHEMA)
    connect(database.superuser).execute(READER.encode())
    made = Operator(cli, database, tmp_path, IN_PLACE)
    made("prepare")
    made("sync", "--once")
    return made


def cut_over(op: Operator) -> None:
    op("sync", "--once")
    op("verify")
    op("cutover", "--yes", "--no-snapshot")


def test_a_pair_tells_the_other_key_of_a_hidden_row(op: Operator, connect: Connect) -> None:
    """Documented: a role that may write the reference and read both columns learns the other key of a row that a policy hides. With
    rights on the one column alone it does not (docs/security.md)."""
    admin, app = connect(op.db.superuser), connect(op.db.app)
    reader = connect(op.db.app.replace("//app@", "//pair_reader@"))
    assert app.execute("SELECT count(*) FROM users").fetchone() == (0,)
    (hidden,) = app.execute("INSERT INTO sessions (user_id) VALUES (3) RETURNING user_uuid_id").fetchone() or (None,)
    assert reader.execute("INSERT INTO sessions (user_id) VALUES (3) RETURNING user_id").fetchone() == (3,)
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute("INSERT INTO sessions (user_id) VALUES (3) RETURNING user_uuid_id")
    cut_over(op)
    assert isinstance(hidden, UUID)
    assert admin.execute("SELECT id FROM users WHERE legacy_id = 3").fetchone() == (hidden,)
    assert app.execute("SELECT count(*) FROM users").fetchone() == (0,)
    told = app.execute("INSERT INTO sessions (user_id) VALUES (%s) RETURNING user_legacy_id", [hidden]).fetchone()
    assert told == (3,)


def test_a_column_grant_reaches_both_columns_of_a_reference(op: Operator, connect: Connect) -> None:
    """Documented: until the cutover the uuid is hidden; after it the right is on the uuid and stays on the integer, which that role
    could read before. The source's legacy key is hidden. A revert takes it all back."""
    admin = connect(op.db.superuser)
    before = ["sessions.id", "sessions.user_id", "users.email", "users.id"]

    def readable() -> list[str]:
        return [r[0] for r in admin.execute(READABLE.encode())]

    assert readable() == before
    cut_over(op)
    assert readable() == sorted([*before, "sessions.user_legacy_id"])
    admin.execute("REVOKE SELECT (user_legacy_id) ON sessions FROM pair_reader")  # what the page says to do: after `finalize`
    assert readable() == before


FORCED = """
CREATE TABLE users (id bigserial PRIMARY KEY, tenant text);
CREATE TABLE plain (id bigserial PRIMARY KEY, user_id bigint REFERENCES users);
INSERT INTO users (tenant) VALUES ('a'), ('a'), ('b');
INSERT INTO plain (user_id) VALUES (1);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON users USING (tenant = current_setting('app.tenant', true));
"""
VIEWS = {
    "of the table": ("CREATE MATERIALIZED VIEW m AS SELECT id, tenant FROM users", True),
    "of a view": ("CREATE VIEW v AS SELECT id, tenant FROM users; CREATE MATERIALIZED VIEW m AS SELECT * FROM v", True),
    "of a view that asks as its reader": (
        "CREATE VIEW v WITH (security_invoker) AS SELECT id, tenant FROM users; CREATE MATERIALIZED VIEW m AS SELECT * FROM v",
        True,
    ),
    "not filled": ("CREATE MATERIALIZED VIEW m AS SELECT id, tenant FROM users WITH NO DATA", False),
    "of another table": ("CREATE MATERIALIZED VIEW m AS SELECT user_id FROM plain", False),
}


@pytest.fixture
def keeper(connect: Connect, database: Database) -> str:
    """A role that owns the views, and is under row security; the role of the run is not, and acts for it."""
    admin = connect(database.superuser)
    admin.execute(ROLES)
    admin.execute("DO $$ BEGIN CREATE ROLE keeper; EXCEPTION WHEN duplicate_object THEN END $$")
    admin.execute("GRANT keeper TO swap_owner; GRANT ALL ON SCHEMA public TO keeper")
    return "keeper"


@pytest.mark.parametrize("case", VIEWS)
def test_a_materialized_view_under_forced_row_security(
    keeper: str, database: Database, connect: Connect, cli: Cli, tmp_path: Path, case: str
) -> None:
    """I10: given rows that the view's owner could not read again, then the view is refused by name; with BYPASSRLS for the owner, or
    where nothing is filtered, it is not."""
    ddl, refused = VIEWS[case]
    install(database, FORCED)
    admin = connect(database.superuser)
    admin.execute(ddl.encode())
    admin.execute("GRANT SELECT ON users, plain TO keeper")
    for kind, name in admin.execute("SELECT relkind::text, relname FROM pg_class WHERE relname IN ('m', 'v')").fetchall():
        word = {"m": "MATERIALIZED VIEW", "v": "VIEW"}[kind]
        admin.execute(sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(word), sql.Identifier(name), sql.Identifier(keeper)))
    op = Operator(cli, database, tmp_path, "\n")

    def found() -> list[str]:
        checks = op("doctor", check=False).json["checks"]
        return [c["detail"] for c in checks if (c["name"], c["object"], c["status"]) == ("view", "public.m", "blocker")]

    said = found()
    assert bool(said) is refused
    assert all("row security of public.users (as keeper)" in s for s in said)
    admin.execute("ALTER ROLE keeper BYPASSRLS")
    try:
        assert found() == []
    finally:
        admin.execute("ALTER ROLE keeper NOBYPASSRLS")


def test_what_an_operator_accepts(keeper: str, database: Database, connect: Connect, cli: Cli, tmp_path: Path) -> None:
    """Given the finding is accepted, then the view is empty after the cutover, without an error: what the finding says."""
    install(database, FORCED)
    admin = connect(database.superuser)
    admin.execute("CREATE MATERIALIZED VIEW m AS SELECT id, tenant FROM users; GRANT SELECT ON users TO keeper")
    admin.execute("ALTER MATERIALIZED VIEW m OWNER TO keeper; ALTER ROLE swap_owner BYPASSRLS")
    try:
        op = Operator(cli, database, tmp_path, '[accept]\nfindings = ["view:public.m"]\n')
        for command in (("prepare",), ("sync", "--once"), ("verify",)):
            op(*command)
        assert admin.execute("SELECT count(*) FROM m").fetchone() == (3,)
        op("cutover", "--yes", "--no-snapshot")
        assert admin.execute("SELECT count(*) FROM m").fetchone() == (0,)
        admin.execute("SET app.tenant = 'a'; REFRESH MATERIALIZED VIEW m")  # as the hint says
        assert admin.execute("SELECT count(*) FROM m").fetchone() == (2,)
    finally:
        admin.execute("ALTER ROLE swap_owner NOBYPASSRLS")
