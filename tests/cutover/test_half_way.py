"""H64: `finalize` and `abort` half-way. The application works at every point, every word about it is true, and the same command
goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from swap.core.errors import RefusedError
from swap.core.sql_text import verbatim
from swap.core.statement import Statement, script
from tests.cutover.test_lock_retries import SCHEMA as PLAIN
from tests.support.commands import Cli
from tests.support.cycling import Start
from tests.support.migration import Session
from tests.support.operator import Operator
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, boss_id bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE VIEW emails AS SELECT id, email FROM users;
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 5) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
IMPATIENT = {"lock_timeout_ms": 50, "max_attempts": 2}


def written(app: Session) -> None:
    """What the application does: rows with and without their keys, parents and children."""
    app.execute("INSERT INTO users (email) VALUES ('later')")
    app.execute("INSERT INTO sessions (user_id) SELECT id FROM users WHERE email = 'later' LIMIT 1")
    app.execute("UPDATE users SET boss_id = (SELECT u.id FROM users u WHERE email = 'user3' LIMIT 1) WHERE email = 'later'")
    assert app.execute("SELECT count(*) FROM emails WHERE email = 'later'").fetchone() == (1,)
    app.execute("DELETE FROM users WHERE email = 'later'")


class Killed(Exception):
    """The tool ends here."""


@pytest.mark.parametrize("compat", [True, False], ids=["compat", "plain"])
@pytest.mark.parametrize("command", ["finalize", "finalize --drop-legacy", "abort"])
def test_the_application_works_between_any_two_steps(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, command: str, compat: bool
) -> None:
    """Given the command is killed after each of its steps, then the application's statements succeed, and the next call goes on."""
    cycle = start(SCHEMA, names={"compat": compat})
    app = connect(database.app)
    cycle.ready()
    if command != "abort":
        cycle.cutover()
    steps: list[object] = []
    allowed = 0

    def killed_before(statements: tuple[Statement, ...]) -> object:
        steps.append(statements)
        if len(steps) == allowed + 1:
            raise Killed
        return script(statements)

    def go() -> None:
        steps.clear()
        if command == "abort":
            cycle.m.abort()
        else:
            cycle.m.finalize(drop_legacy="legacy" in command)

    monkeypatch.setattr("cutover.teardown.script", killed_before)
    for _ in range(40):
        allowed += 1
        try:
            go()
        except Killed:
            cycle.m.reload()
            written(app)
        else:
            break
    else:
        raise AssertionError("it never ends")
    assert allowed > 3
    written(app)
    if command == "abort":
        assert cycle.dump() == cycle.original


def test_the_words_of_a_finalize_that_stops(cli: Cli, connect: Connect, database: Database, tmp_path: Path, start: Start) -> None:
    """Given a session that holds the retired table, then nothing is changed; given one that holds the live table, then the error, the
    status and every other command say what is gone."""
    cycle = start(SCHEMA, names={"compat": True}, cutover=IMPATIENT | {"max_lock_hold_ms": 20_000})
    cycle.be_patient()
    cycle.ready()
    cycle.cutover()
    settings = "[names]\ncompat = true\n[cutover]\nlock_timeout_ms = 50\nmax_attempts = 2"
    op = Operator(cli, database, tmp_path, settings)
    reader, app = connect(database.superuser, autocommit=False), connect(database.app)
    reader.execute("SELECT FROM users_old LIMIT 1")
    error = op.refused("finalize", "--yes", code=4)
    assert "Nothing was changed" in error["state"]
    written(app)
    assert op.status()["unfinished"] is None
    reader.rollback()
    reader.execute("SELECT FROM users LIMIT 1")
    error = op.refused("finalize", "--yes", code=4)
    assert "the retired table" in error["state"]
    assert "Nothing was changed" not in error["state"]
    assert "swap finalize" in error["hint"]
    error = op.refused("finalize", "--yes", code=4)
    assert "the retired table" in error["state"]
    status = op.status()
    assert (status["unfinished"], status["revert"]["possible"], status["missing"]) == ("finalize", False, [])
    for command in (("sync", "--once"), ("prepare",), ("verify",), ("revert", "--yes"), ("cutover", "--yes"), ("abort", "--yes")):
        assert "`swap finalize` of this run has begun" in op.refused(*command, code=3)["message"]
    reader.rollback()
    app.execute("INSERT INTO users (email) VALUES ('no key')")
    op("finalize", "--yes")
    app.execute("INSERT INTO users (email) VALUES ('no key')")
    assert op.status()["phase"] == "finalized"


def test_the_words_of_an_abort_that_stops(cli: Cli, connect: Connect, database: Database, tmp_path: Path, start: Start) -> None:
    """The same for `abort`: the second table is not free."""
    cycle = start(PLAIN)
    cycle.ready()
    op = Operator(cli, database, tmp_path, "[cutover]\nlock_timeout_ms = 50\nmax_attempts = 2")
    reader, app = connect(database.superuser, autocommit=False), connect(database.app)
    reader.execute("SELECT FROM sessions LIMIT 1")
    error = op.refused("abort", "--yes", code=4)
    assert "what was added to public.users" in error["state"]
    app.execute("INSERT INTO sessions (user_id) VALUES (1)")
    for command in (("sync", "--once"), ("prepare",), ("cutover", "--yes"), ("verify",)):
        assert "`swap abort` of this run has begun" in op.refused(*command, code=3)["message"]
    assert op.status()["unfinished"] == "abort"
    reader.rollback()
    op("abort", "--yes")
    assert cycle.dump() == cycle.original


@pytest.mark.parametrize(
    ("command", "tag"),
    [(c, t) for c in ("finalize", "abort") for t in ("DROP TABLE", "DROP FUNCTION", "DROP TRIGGER")]
    + [("finalize", "ALTER TABLE")],
)
def test_an_event_trigger_that_forbids_it(start: Start, database: Database, connect: Connect, command: str, tag: str) -> None:
    """H55: it is refused by name, with what is gone, and goes on when the trigger is out of the way."""
    cycle = start(PLAIN)
    cycle.ready()
    if command == "finalize":
        cycle.cutover()
    admin, app = connect(database.superuser), connect(database.app)
    admin.execute(
        "CREATE FUNCTION public.keep() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$"
    )
    admin.execute(
        verbatim(f"CREATE EVENT TRIGGER keep ON ddl_command_start WHEN TAG IN ('{tag}') EXECUTE FUNCTION public.keep()")
    )
    go = cycle.m.abort if command == "abort" else lambda: cycle.m.finalize(drop_legacy=command == "finalize")
    with pytest.raises(RefusedError, match="not today") as refused:
        go()
    assert "keep()" in refused.value.hint
    first = (command, tag) in (("finalize", "DROP TABLE"), ("abort", "DROP TRIGGER"))
    assert ("Removed for good" in refused.value.state) is not first
    app.execute("INSERT INTO users (email) VALUES ('meanwhile'); INSERT INTO sessions (user_id) SELECT id FROM users LIMIT 1")
    admin.execute("DROP EVENT TRIGGER keep")
    go()
    app.execute("INSERT INTO users (email) VALUES ('afterwards'); INSERT INTO sessions (user_id) SELECT id FROM users LIMIT 1")
