"""Rows that CLUSTER, VACUUM FULL or pg_repack move while a column is filled by blocks (H59, I3)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.sync import backfill_tasks
from swap.sync.backfill import Backfill
from tests.support.migration import Driver, install
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, uuid_id uuid UNIQUE, turn int, pad text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, user_uuid_id uuid, turn int, pad text);
INSERT INTO users (turn, pad) SELECT -n, repeat('x', 700) FROM generate_series(1, 300) n;
INSERT INTO sessions (user_id, turn, pad) SELECT id, turn, pad FROM users;
CREATE INDEX users_turn ON users (turn);
CREATE INDEX sessions_turn ON sessions (turn);
"""


@pytest.mark.parametrize("table", ["users", "sessions"])
@pytest.mark.parametrize("rewrite", ["CLUSTER {0} USING {0}_turn", "VACUUM FULL {0}"])
def test_a_table_that_is_rewritten_between_two_ranges(
    database: Database, monkeypatch: pytest.MonkeyPatch, table: str, rewrite: str
) -> None:
    """H59: given a rewrite after the first ranges, which turns the rows around, then no row is left without its uuid; and a run that
    goes on later knows the file as well."""
    install(database, SCHEMA)
    monkeypatch.setattr(backfill_tasks, "BLOCKS", 5)
    monkeypatch.setattr("swap.sync.backfill.next_size", lambda size, *_: size)
    done: list[str] = []
    original = Backfill._range

    def ranged(self: Backfill, *args: Any) -> None:
        original(self, *args)
        if self.task.heap is not None and self.task.heap.name == table:
            done.append(self.part)
            if len(done) == 2:
                with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
                    conn.execute(rewrite.format(table).encode())

    monkeypatch.setattr(Backfill, "_range", ranged)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert len(set(done)) == 2  # both files have ranges in the journal
        assert m.verify().verdict == "identical"
        assert m.exchange("cutover").outcome == "committed"
        assert m.verify().verdict == "identical"
