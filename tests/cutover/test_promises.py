"""H66, I13: a promise is checked before it is made. "Revert possible" means that every gate of a revert is open now, and a cutover
commits only if its foreign keys can be validated afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swap.core.errors import DifferenceError
from swap.core.sql_text import verbatim
from tests.support.commands import Cli
from tests.support.cycling import Cycle, Start
from tests.support.migration import Session
from tests.support.operator import Operator
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE FUNCTION first_user() RETURNS users LANGUAGE sql STABLE AS 'SELECT * FROM public.users ORDER BY email LIMIT 1';
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 40) n;
INSERT INTO sessions (user_id) SELECT id FROM users WHERE id > 20;
"""


@pytest.fixture
def cut(start: Start) -> Cycle:
    made = start(SCHEMA)
    made.ready()
    made.exchange("cutover")
    return made


def test_revert_possible_means_that_it_would_pass_now(
    cut: Cycle, cli: Cli, database: Database, connect: Connect, tmp_path: Path
) -> None:
    """Given each gate shut once, then `status` says why a revert is not possible, as `revert` does; and it is when they are open."""
    op = Operator(cli, database, tmp_path, "\n")
    admin = connect(database.superuser)

    def shut(said: str) -> None:
        status, error = op.status()["revert"], op.refused("revert", "--yes", code=3)
        assert status["possible"] is False
        assert said in status["reason"]
        assert error["message"] in status["reason"]

    def between(change: str, undo: str, said: str) -> None:
        admin.execute(verbatim(change))
        shut(said)
        admin.execute(verbatim(undo))
        assert op.status()["revert"]["possible"] is True

    shut("no verification of this direction")
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"
    assert op.status()["revert"]["possible"] is True
    shown = cli("status", config=op.config, dsn=database.owner).stdout
    assert "revert     possible: every gate" in shown
    never = "UPDATE pg_class SET reltuples = {} WHERE oid = 'users_old'::regclass"
    between(never.format("-1"), never.format("40"), "ANALYZE public.users_old")
    between("ALTER TABLE users ADD shoe int", "ALTER TABLE users DROP shoe", "column shoe")
    admin.execute("DELETE FROM swap.step WHERE name = 'settled'")  # a revert would finish the follow-up first, if it can
    assert "swap sync --once" in op.status()["revert"]["reason"]
    op("sync", "--once")
    assert op.status()["revert"]["possible"] is True
    age = "UPDATE swap.verification SET finished_at = finished_at {} interval '1 day'"
    between(age.format("-"), age.format("+"), "swap verify")
    assert op("revert", "--yes").json["outcome"] == "committed"


def orphaned_by_a_parent(admin: Session) -> None:
    admin.execute("SET session_replication_role = replica; DELETE FROM users WHERE email = 'user25'")


def orphaned_by_itself(admin: Session) -> None:
    """As an application does it that writes the uuid itself, past the guard."""
    admin.execute(
        "ALTER TABLE sessions DISABLE TRIGGER ALL; SET session_replication_role = replica;"
        "INSERT INTO sessions (user_id, user_uuid_id) VALUES (4711, gen_random_uuid());"
        "ALTER TABLE sessions ENABLE TRIGGER ALL"
    )


@pytest.mark.parametrize("orphaned", [orphaned_by_a_parent, orphaned_by_itself])
def test_what_the_follow_up_could_not_validate_is_refused(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, orphaned: Callable[[Session], None]
) -> None:
    """Given a reference that lost its row, or was written without one, after the verification: the cutover does not commit, and
    does when the row is mended."""
    cycle = start(SCHEMA)
    cycle.ready()
    admin = connect(database.superuser)
    if orphaned is orphaned_by_itself:  # the gates see the triggers; the data alone is looked at here
        monkeypatch.setattr("cutover.gates.refuse_changed", lambda *_: None)
        monkeypatch.setattr("cutover.transaction.refuse_changed", lambda *_: None)
        admin.execute("CREATE TABLE kept AS SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'sessions'::regclass")
        orphaned(admin)
        admin.execute(
            "DO $$ DECLARE t record; BEGIN FOR t IN SELECT * FROM kept WHERE tgenabled = 'A' LOOP"
            " EXECUTE format('ALTER TABLE sessions ENABLE ALWAYS TRIGGER %I', t.tgname); END LOOP; END $$"
        )
    else:
        orphaned(admin)
    with pytest.raises(DifferenceError, match=r"public.sessions.user_id: 1 rows refer to a row that does not exist") as refused:
        cycle.exchange("cutover")
    assert "RUNBOOK.md" in refused.value.hint
    assert cycle.m.reload().phase.value == "syncing"
    admin.execute("DELETE FROM sessions s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.user_id)")
    cycle.verified()
    assert cycle.exchange("cutover").outcome == "committed"


def test_the_same_before_a_revert(cut: Cycle, database: Database, connect: Connect) -> None:
    """A row of the new table that went past its foreign key leaves a session that the old key would not validate with."""
    cut.caught_up()
    admin = connect(database.superuser)
    orphaned_by_a_parent(admin)
    with pytest.raises(DifferenceError, match="user_legacy_id: 1 rows refer to a row that does not exist"):
        cut.exchange("revert")
    admin.execute("DELETE FROM sessions s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.user_id)")
    cut.caught_up()
    assert cut.exchange("revert").outcome == "committed"
