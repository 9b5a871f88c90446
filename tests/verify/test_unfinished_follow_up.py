"""A verification between an exchange and the end of its follow-up. `cutover` and `revert` run the follow-up after their commit,
and `sync` runs it when they were killed. No change that the follow-up makes is called a difference."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from psycopg import sql

import cutover.run
from swap.core.errors import DifferenceError
from swap.ddl.foreign_keys import validations
from swap.plan.direction import table_mapping
from tests.support.cycling import Start
from tests.support.verifying import reason, status_of

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, name text);
CREATE TABLE orders (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (name) SELECT 'n' || n FROM generate_series(1, 50) n;
INSERT INTO orders (user_id) SELECT n FROM generate_series(1, 50) n;
"""


@pytest.mark.parametrize("kind", ["cutover", "revert"])
def test_before_the_follow_up_is_finished(start: Start, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """H38: a foreign key that is not validated yet is no difference. A key that is validated, but not noted, is no drift. The
    verification is no success either (I7), and it names a row that differs all the same."""
    cycle = start(SCHEMA)
    cycle.ready()
    if kind == "revert":
        cycle.cutover()
    with monkeypatch.context() as patch:
        patch.setattr(cutover.run, "finish_exchange", lambda *args, **kwargs: None)
        cycle.exchange(kind)
    for validated in (False, True):
        if validated:
            for statement in validations(cycle.m.plan):
                cycle.m.conn.execute(statement.sql)
        report = cycle.verify()
        assert report.verdict == "incomplete"
        assert "follow-up of the last exchange" in reason(report)
        assert status_of(report, "foreign_keys_valid") == ("ok" if validated else "warning")
        assert status_of(report, "drift") == ("warning" if validated else "ok")
        assert not report.findings
    target = table_mapping(cycle.m.plan, cycle.m.run.direction).target.sql
    rename = sql.SQL("UPDATE {} SET name = %s WHERE name = %s")
    with closing(psycopg.connect(cycle.db.superuser, autocommit=True)) as conn:
        conn.execute(rename.format(target), ["x", "n7"])
        assert [f.columns for f in cycle.verify().findings] == [("name",)]
        conn.execute(rename.format(target), ["n7", "x"])
    cycle.caught_up()


def test_a_key_that_does_not_validate(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNBOOK.md, step 3: given a parent row that is deleted without its child, before the follow-up of a cutover validates the
    foreign key. Then `verify` counts the child as an orphan, and `sync` and `revert` go on as soon as it is deleted."""
    cycle = start(SCHEMA)
    cycle.ready()

    def ended(*args: object, **kwargs: object) -> None:
        raise DifferenceError("it does not validate")

    with monkeypatch.context() as patch:
        patch.setattr(cutover.run, "finish_exchange", ended)
        with pytest.raises(DifferenceError) as raised:
            cycle.exchange("cutover")
    assert raised.value.document["outcome"] == "committed"
    cycle.m.run = cycle.m.journal.get(cycle.m.run.id)
    with closing(psycopg.connect(cycle.db.superuser, autocommit=True)) as conn:
        conn.execute(
            "SET session_replication_role = replica; DELETE FROM users WHERE name = 'n7'; RESET session_replication_role"
        )
        for refused in (cycle.m.sync, lambda: cycle.exchange("revert")):
            with pytest.raises(DifferenceError, match=r"orders_user_id_fkey on .* does not validate"):
                refused()
        report = cycle.verify()
        assert (report.verdict, status_of(report, "no_orphans")) == ("incomplete", "failed")
        conn.execute("DELETE FROM orders WHERE id = 7")
    cycle.caught_up()
    cycle.exchange("revert")
