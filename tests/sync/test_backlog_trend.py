"""H12: a backlog that grows faster than replay is said, with the rates, while it lasts and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from swap.cli.status_lines import status_lines
from swap.core.report import Silent
from swap.state.migration import Migration
from swap.sync import backlog_trend as pace
from swap.sync import loop
from swap.sync.backlog_trend import BEHIND, CAUGHT_UP, BacklogTrend
from swap.sync.loop import Sync
from swap.sync.replay import Barrier, Replayed, replay
from tests.support.migration import Synced
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database

SCHEMA = "CREATE TABLE users (id bigserial PRIMARY KEY, n int); INSERT INTO users (n) SELECT 0 FROM generate_series(1, 50)"


@dataclass
class Heard(Silent):
    notes: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)


def held_back(app: psycopg.Connection[Any], heard: Heard) -> Callable[..., Replayed]:
    """Replay of one transaction at a time, for every five that the application commits; until that was said twice."""

    def slow(migration: Migration, limit: int | None, barrier: Barrier | None) -> Replayed:
        if len(heard.notes) >= 2:
            return replay(migration, limit, barrier)
        for _ in range(5):
            app.execute("UPDATE users SET n = n + 1 WHERE id = 1")
            if barrier is not None:
                barrier.wait_delivered()
        return replay(migration, 0, barrier)

    return slow


def test_a_backlog_that_grows_is_said(
    synced: Synced, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    m, heard = synced(database, SCHEMA), Heard()
    monkeypatch.setattr(pace, "WINDOW_S", 0.1)
    monkeypatch.setattr(loop, "replay", held_back(connect(database.app), heard))
    done = Sync(replace(m, report=heard), jobs=1, once=True).run()
    assert done.reason == "caught_up"
    assert len(heard.notes) == 3
    assert all("replay does not keep up" in n and "no cutover" in n for n in heard.notes[:2])
    come, taken = (float(heard.notes[0].split(word)[0].rsplit(" ", 1)[1].replace(",", "")) for word in (" changes/s", "/s are"))
    assert come > 3 * taken
    assert heard.notes[2] == "replay has caught up with the changes"
    kinds = [r[0] for r in m.conn.execute("SELECT kind FROM swap.event WHERE kind = ANY (%s) ORDER BY id", [[BEHIND, CAUGHT_UP]])]
    assert kinds == [BEHIND, BEHIND, CAUGHT_UP]


def test_status_shows_it_as_long_as_something_waits(operator: MakeOperator, connect: Connect) -> None:
    op = operator(users=30)
    op.ready()
    conn = connect(op.db.superuser)
    conn.execute("INSERT INTO swap.event (run_id, kind, message) SELECT id, %s, 'too slow' FROM swap.run", [BEHIND])
    assert op.status()["falling_behind"] is None
    conn.execute("UPDATE users SET login_count = 1")
    op("verify")  # which has the stream deliver it, where that is how it comes
    status = op.status()
    assert status["falling_behind"] == "too slow"
    assert "BEHIND     too slow" in status_lines(status)
    conn.execute("INSERT INTO swap.event (run_id, kind, message) SELECT id, %s, 'done' FROM swap.run", [CAUGHT_UP])
    assert op.status()["falling_behind"] is None


def test_a_queue_that_shrinks_is_not_falling_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.0)
    trend, waiting = BacklogTrend(), iter([900, 800, 800, 1000])
    assert [trend.observe(n, False, lambda: next(waiting)) is None for n in range(4)] == [True, True, True, False]
    assert trend.observe(5, True, lambda: 0) == (CAUGHT_UP, "replay has caught up with the changes")
    assert trend.observe(6, True, lambda: 0) is None
