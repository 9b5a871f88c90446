"""H66, I13: a promise is checked before it is made. "Revert possible" means that every gate of a revert is open now, and a cutover
commits only if its foreign keys can be validated afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swap.core.errors import DifferenceError
from swap.core.sql_text import verbatim
from tests.support.commands import Cli
from tests.support.cycling import Cycle, Start
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
        assert "swap abort" not in error["hint"] + status["reason"]  # after a cutover it is no way out
        assert AGE.sub("", error["message"]) in AGE.sub("", status["reason"])

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


AGE = re.compile(r"\d+ s old")  # of the two commands, a moment apart
# A parent goes past its foreign key, as under a subscription, or by hand.
ORPHANED = "SET session_replication_role = replica; DELETE FROM users WHERE email = 'user{}'"
MENDED = (
    "SET session_replication_role = origin; DELETE FROM sessions s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.user_id)"
)
STRATEGIES = [[], [{"table": "public.sessions", "column": "user_id", "strategy": "column"}]]


@pytest.mark.parametrize("reference", STRATEGIES, ids=["table", "column"])
def test_what_the_follow_up_could_not_validate_is_refused(
    start: Start, database: Database, connect: Connect, reference: list[dict[str, str]]
) -> None:
    """Given a reference that lost its row after the verification, then neither a cutover nor a revert commits, and each does when the
    row is mended."""
    cycle = start(SCHEMA, reference=reference)
    cycle.ready()
    admin = connect(database.superuser)
    for kind, number in (("cutover", 25), ("revert", 26)):
        admin.execute(verbatim(ORPHANED.format(number)))
        before = cycle.m.reload().phase
        with pytest.raises(DifferenceError, match="1 rows refer to a row that does not exist") as refused:
            cycle.exchange(kind)
        assert "public.sessions." in refused.value.message
        assert "RUNBOOK.md" in refused.value.hint
        assert cycle.m.reload().phase is before
        admin.execute(verbatim(MENDED))
        cycle.caught_up()
        assert cycle.exchange(kind).outcome == "committed"
        cycle.caught_up()
