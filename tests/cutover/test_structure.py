"""DDL that ends in the same structure, and all that is a part of the structure (H57, I7, I10)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from cutover import run as cutover_run
from cutover.prepared_exchange import prepare_exchange
from swap.core.errors import RefusedError
from tests.support.migration import Driver, install
from tests.support.servers import Database
from verify.repair import repair

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, note text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE TABLE visits (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, user_uuid_id uuid, note text);
INSERT INTO users (email, note) SELECT 'user' || n, 'Note ' || n FROM generate_series(1, 30) n;
INSERT INTO sessions (user_id, note) SELECT id, 'Of ' || id FROM users;
INSERT INTO visits (user_id, note) SELECT id, 'Of ' || id FROM users;
"""


def execute(database: Database, statements: str) -> list[tuple[Any, ...]]:
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        cursor = conn.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def verified(database: Database) -> Any:
    """A run that is ready for the cutover."""
    install(database, SCHEMA)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert m.verify().verdict == "identical"
        yield m


REWRITES = {
    "source": "ALTER TABLE users ALTER note TYPE text USING lower(note)",
    "reference": "ALTER TABLE sessions ALTER note TYPE text USING lower(note)",
    "reference in place": "ALTER TABLE visits ALTER note TYPE text USING lower(note)",
}


@pytest.mark.parametrize("table", REWRITES)
def test_values_that_a_rewrite_changed_are_not_lost(verified: Driver, table: str) -> None:
    """H57: the structure is the same, and no trigger saw it. The cutover asks for a verification, which finds what changed."""
    execute(verified.db, REWRITES[table])
    with pytest.raises(RefusedError, match="Rewritten or truncated since the last verification: public"):
        verified.exchange("cutover")
    report = verified.verify()
    if table == "reference in place":  # its rows stay where they are: nothing of them is copied
        assert report.verdict == "identical"
    else:
        assert report.verdict == "different"
        assert repair(verified, report).keys == 30
        verified.sync()
        assert verified.verify().verdict == "identical"
    assert verified.exchange("cutover").outcome == "committed"
    name = {"source": "users", "reference": "sessions"}.get(table, "visits")
    assert execute(verified.db, f"SELECT count(*) FROM {name} WHERE note <> lower(note)") == [(0,)]


def test_a_rewrite_while_the_exchange_waits(verified: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """H57: the gates have passed; it is asked again under the locks, and nothing is changed."""
    made = prepare_exchange

    def rewritten(*args: Any, exact: bool) -> Any:
        prepared = made(*args, exact=exact)
        execute(verified.db, REWRITES["source"])
        return prepared

    monkeypatch.setattr(cutover_run, "prepare_exchange", rewritten)
    with pytest.raises(RefusedError, match="Rewritten or truncated since the last verification: public"):
        verified.exchange("cutover")
    assert execute(verified.db, "SELECT pg_typeof(id)::text FROM users LIMIT 1") == [("bigint",)]


def test_a_rewrite_that_keeps_the_values_asks_for_a_verification(verified: Driver) -> None:
    """H57: VACUUM FULL, CLUSTER and TRUNCATE cannot be told from a rewrite that changes values. In reverse as well."""
    execute(verified.db, "VACUUM FULL users")
    with pytest.raises(RefusedError, match="Rewritten or truncated"):
        verified.exchange("cutover")
    assert verified.verify().verdict == "identical"
    assert verified.exchange("cutover").outcome == "committed"
    assert verified.verify().verdict == "identical"
    execute(verified.db, "CLUSTER users USING users_pkey")
    with pytest.raises(RefusedError, match=r"Rewritten or truncated|CLUSTER|structure"):
        verified.exchange("revert")


STRUCTURE = {
    "a column again": ("ALTER TABLE users DROP note; ALTER TABLE users ADD note text", "attribute note number="),
    "a column of a reference again": (
        "ALTER TABLE sessions DROP note; ALTER TABLE sessions ADD note text",
        "attribute note number=",
    ),
    "a rule": ("CREATE RULE quiet AS ON DELETE TO sessions WHERE false DO INSTEAD NOTHING", "rule enabled=O CREATE RULE quiet"),
    "a child": ("CREATE TABLE vip () INHERITS (users)", "child public.vip"),
    "a child of a reference": ("CREATE TABLE vip () INHERITS (sessions)", "child public.vip"),
    "a comment": ("COMMENT ON TABLE users IS 'new'", "comment \"-\" 'new'"),
    "a comment on a column": ("COMMENT ON COLUMN users.note IS 'new'", "comment note 'new'"),
    "a comment on a constraint": ("COMMENT ON CONSTRAINT users_pkey ON users IS 'new'", "comment users_pkey 'new'"),
    "a statistics target": ("ALTER TABLE users ALTER note SET STATISTICS 7", "attribute note number=3"),
    "storage": ("ALTER TABLE users ALTER note SET STORAGE EXTERNAL", "attribute note number=3"),
    "options of a column": ("ALTER TABLE users ALTER note SET (n_distinct = 5)", "attribute note number=3"),
    "an index's mark": (
        "ALTER TABLE sessions REPLICA IDENTITY USING INDEX sessions_pkey",
        "table owner=swap_owner kind=r rls=f/f options= replident=i",
    ),
    "a collation": ('ALTER TABLE users ALTER note TYPE text COLLATE "C"', "attribute note number=3"),
    "persistence": ("ALTER TABLE sessions SET UNLOGGED", "storage persistence=u"),
}


@pytest.mark.parametrize("what", STRUCTURE)
def test_all_of_it_is_recorded(verified: Driver, what: str) -> None:
    """H57, I10: a cutover would leave it behind. Taken back, the cutover goes on, where that is possible."""
    statement, said = STRUCTURE[what]
    if what == "persistence" and verified.run.mode == "logical":
        pytest.skip("the server itself refuses it for a table of a publication")
    execute(verified.db, statement)
    with pytest.raises(RefusedError, match="The structure changed since it was last recorded") as refused:
        verified.exchange("cutover")
    assert said in refused.value.message
    report = verified.verify()
    assert report.verdict == "different"
    assert said in next(c.detail for c in report.checks if c.name == "drift")


def test_a_repair_deletes_no_row_of_a_child(verified: Driver) -> None:
    """H57: DELETE and UPDATE, and every comparison, are about the table ONLY; the child is drift."""
    execute(
        verified.db,
        "CREATE TABLE vip () INHERITS (users); INSERT INTO vip (id, email) SELECT 1000 + n, 'v' FROM generate_series(1, 5) n",
    )
    report = verified.verify()
    assert [t.rows for t in report.tables if t.name == "public.users"] == [30]
    assert report.findings == ()
    execute(verified.db, "UPDATE users SET note = 'x' WHERE id > 1000; DELETE FROM ONLY users WHERE id = 30")
    verified.replay()
    assert execute(verified.db, "SELECT count(*) FROM vip") == [(5,)]
    assert execute(verified.db, "SELECT count(*), max(id) FROM users_new") == [(29, 29)]
    execute(
        verified.db,
        "CREATE TABLE vip_new () INHERITS (users_new); INSERT INTO vip_new (id, uuid_id, email) SELECT id, gen_random_uuid(), email FROM users",
    )
    execute(verified.db, "DELETE FROM users WHERE id = 29; UPDATE users SET note = 'y' WHERE id < 5")
    verified.replay()
    assert execute(verified.db, "SELECT count(*), count(*) FILTER (WHERE note = 'y') FROM vip_new") == [(34, 0)]
