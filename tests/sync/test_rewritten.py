"""Rows that CLUSTER, VACUUM FULL or pg_repack move while a column is filled by blocks, and REINDEX, at any time (H59, I3)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.sync import backfill_tasks
from swap.sync.backfill import Backfill
from swap.sync.change_queue import ChangeQueue
from tests.support.migration import Driver, background, in_place, install
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

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


IN_PLACE = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE INDEX sessions_user ON sessions (user_id);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""


@pytest.mark.parametrize("command", ["REINDEX TABLE sessions", "REINDEX TABLE CONCURRENTLY sessions", "VACUUM FULL sessions"])
def test_maintenance_of_a_table_whose_index_is_being_built(database: Database, connect: Connect, command: str) -> None:
    """H59: given a command that waits for the build's lock while the build waits for its snapshot, then the server ends the build,
    and it is made again."""
    install(database, IN_PLACE)
    holder, other, seeing = (connect(database.superuser, autocommit=a) for a in (False, True, True))
    other.execute("SET deadlock_timeout = '60s'")  # so that the build notices first
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ %s AND datname = current_database()"
    with closing(Driver.begin(database, reference=[in_place("sessions", "user_id")])) as m:
        m.prepare()
        holder.execute("LOCK TABLE sessions IN ROW EXCLUSIVE MODE")
        with background(m.sync, holder.rollback) as build:
            wait_until(lambda: seeing.execute(waits, ["^CREATE INDEX CONCURRENTLY"]).fetchone(), 30, "the build to wait")
            with background(lambda: other.execute(command.encode()), holder.rollback) as maintained:
                wait_until(lambda: seeing.execute(waits, [f"^{command}"]).fetchone(), 30, "the command to wait")
                holder.rollback()
                maintained.result(30)
            assert build.result(60).reason == "caught_up"
        assert m.verify().verdict == "identical"


@pytest.mark.parametrize("how", ["", "CONCURRENTLY"])
def test_reindex_at_any_time(database: Database, connect: Connect, how: str) -> None:
    """H59: the indexes have other oids and files then; each exchange goes on, and what comes of it is the same."""
    install(database, SCHEMA + "CREATE TABLE visits (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);")
    owner = connect(database.owner)

    def reindexed() -> None:
        for (table,) in owner.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ):
            owner.execute(f"REINDEX TABLE {how} {table}".encode())

    with closing(Driver.begin(database)) as m:
        for step in (
            m.prepare,
            m.sync,
            m.verify,
            lambda: m.exchange("cutover"),
            m.sync,
            m.verify,
            lambda: m.exchange("revert"),
            m.sync,
        ):
            step()
            reindexed()
        assert m.verify().verdict == "identical"


BESIDE = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE roles (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, role text, note text, PRIMARY KEY (user_id, role));
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO roles SELECT id, 'of ' || id, 'x' FROM users;
"""


@pytest.mark.parametrize(
    "rewrite",
    ["ALTER TABLE users ALTER email TYPE text USING email || ''", "ALTER TABLE roles ALTER note TYPE text USING note || ''"],
)
def test_a_table_that_is_rewritten_after_replay_has_its_snapshot(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, rewrite: str
) -> None:
    """I3, H59: a snapshot of before an ALTER TABLE that rewrites finds the table empty. Replay then left the rows as they were, and
    moved its watermark past their entries (seen: verify finds them different). It locks before its snapshot: the ALTER waits."""
    install(database, BESIDE)
    owner = connect(database.owner)
    owner.execute("SET lock_timeout = '300ms'")
    original, refused = ChangeQueue.next_batch, []

    def read(self: ChangeQueue, *args: Any, **more: Any) -> Any:
        batch = original(self, *args, **more)
        if batch.entries:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute(rewrite.encode())
            refused.append(batch.entries)
        return batch

    with closing(Driver.begin(database)) as m:
        m.synced()
        owner.execute("UPDATE users SET email = 'changed' WHERE id < 4; UPDATE roles SET role = 'changed' WHERE user_id < 3")
        with monkeypatch.context() as patched:
            patched.setattr(ChangeQueue, "next_batch", read)
            m.sync()
        assert refused
        assert m.verify().verdict == "identical"
