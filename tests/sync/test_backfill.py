"""The copy of tables without an integer key, by heap blocks, beside writers that move rows (I3, H2): a row is there once, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import swap.sync.build
import swap.sync.indexes
from swap.core.application_settings import Settings
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.ddl.change_tables import change_table
from swap.plan.model import IndexPlan
from swap.sync.waiting import held_keys
from tests.support.migration import Driver, Migrate, Session, Synced, background, migrations, waiting_for
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait, wait_until
from tests.sync import test_several_tables

# 40 blocks without room: an UPDATE moves its row, to where there is room.
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE pages (slug text PRIMARY KEY, user_id bigint REFERENCES users, body text) WITH (autovacuum_enabled = off);
CREATE TABLE empty (slug text, n integer, user_id bigint REFERENCES users, PRIMARY KEY (slug, n));
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO pages SELECT 'page ' || n, n % 9 + 1, repeat('x', 700) FROM generate_series(1, 400) n;
"""
RANGE = 10  # blocks
PART = "public.pages"


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def m(synced: Synced, database: Database, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Prepared; ranges of ten blocks."""
    monkeypatch.setattr("swap.sync.backfill_tasks.BLOCKS", RANGE)
    monkeypatch.setattr("swap.sync.backfill.next_size", lambda size, *_: size)
    return synced(database, SCHEMA, prepared=True)


def make_room(m: Driver, where: str) -> None:
    """In the blocks that `where` describes, and nowhere else."""
    owner, condition = psycopg.connect(m.db.owner, autocommit=True), f"{where} AND slug ~ '[13579]$'"
    with owner:
        owner.execute(f"DELETE FROM pages WHERE {condition}".encode())
        owner.execute("VACUUM pages")
    owner.close()


def one(conn: Session, query: str, *values: Any) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    return row and row[0]


def block(conn: Session, slug: str) -> int:
    return int(one(conn, "SELECT (ctid::text::point)[0]::int FROM pages WHERE slug = %s", slug))


def between_ranges(m: Driver, watcher: Session, change: Callable[[], object]) -> None:
    """`sync`, with `change` after the first range is read and before it commits."""
    m.hold_chunks(PART, 1)
    watcher.execute("SELECT pg_advisory_lock(1)")
    with background(m.sync, lambda: watcher.execute("SELECT pg_advisory_unlock_all()")) as synced:
        wait_until(lambda: waiting_for(watcher, 1), what="the first range is read")
        change()
        watcher.execute("SELECT pg_advisory_unlock(1)")
        synced.result(30)


@pytest.mark.both_modes
def test_rows_that_move_back(m: Driver, connect: Connect, database: Database) -> None:
    """H2: given rows that move to blocks that were read, then they are copied, though no range finds them."""
    make_room(m, "ctid < '(8,0)'")
    app, watcher = connect(database.app), connect(database.superuser)
    assert block(app, "page 400") >= 2 * RANGE

    def move() -> None:
        app.execute("UPDATE pages SET body = body || '!' WHERE slug IN ('page 400', 'page 399')")
        assert block(app, "page 400") < RANGE
        app.execute("UPDATE pages SET slug = 'renamed' WHERE slug = 'page 398'")
        app.execute("UPDATE pages SET slug = 'page 398' WHERE slug = 'page 397'")
        app.execute("DELETE FROM pages WHERE slug IN ('page 6', 'page 396')")
        app.execute("DELETE FROM pages WHERE slug = 'page 8'; INSERT INTO pages VALUES ('page 8', 2, 'again')")

    between_ranges(m, watcher, move)
    assert one(m.conn, "SELECT count(*) FROM swap.chunk WHERE part = %s", PART) >= 4
    m.assert_same()
    assert m.verify().verdict == "identical"


def move_on(app: Session) -> None:
    """Rows of the first range to blocks that a later one reads."""
    app.execute("UPDATE pages SET body = body || '!' WHERE slug IN ('page 2', 'page 4')")
    assert block(app, "page 2") >= 2 * RANGE
    app.execute("DELETE FROM pages WHERE slug = 'page 6'; INSERT INTO pages VALUES ('page 6', 2, repeat('x', 700))")
    app.execute("INSERT INTO pages SELECT 'new ' || n, 1, repeat('z', 700) FROM generate_series(1, 50) n")


@pytest.mark.both_modes
def test_rows_that_move_on(m: Driver, connect: Connect, database: Database) -> None:
    """H2: given rows that move to blocks that a later range reads, then they are there once."""
    make_room(m, "ctid >= '(30,0)'")
    app = connect(database.app)
    between_ranges(m, connect(database.superuser), lambda: move_on(app))
    m.assert_same()
    assert m.verify().verdict == "identical"


def test_queued_rows_that_the_stream_delivers_late(
    monkeypatch: pytest.MonkeyPatch, synced: Synced, connect: Connect, database: Database
) -> None:
    """H9, H2: given entries of moved rows that are not in the queue yet when the last range is copied, then the copy waits for
    them."""
    monkeypatch.setattr("swap.sync.backfill_tasks.BLOCKS", RANGE)
    m = synced(database, SCHEMA, prepared=True, sync={"mode": "logical"})
    make_room(m, "ctid >= '(30,0)'")
    app, watcher, gate = connect(database.app), connect(database.superuser), connect(database.owner)
    changes = change_table(m.plan, 0, m.plan.swapped_table(TableName("public", "pages")).number).sql.as_string(None)  # type: ignore[union-attr]
    gate.execute("BEGIN")
    gate.execute(f"LOCK TABLE {changes} IN SHARE MODE".encode())
    m.hold_chunks(PART, 1)
    watcher.execute("SELECT pg_advisory_lock(1)")

    def let_go() -> None:
        watcher.execute("SELECT pg_advisory_unlock_all()")
        gate.execute("COMMIT")

    with background(m.sync, let_go) as done:
        wait_until(lambda: waiting_for(watcher, 1), what="the first range is read")
        move_on(app)
        watcher.execute("SELECT pg_advisory_unlock_all()")
        copied = "SELECT 1 FROM swap.step WHERE name = 'copied public.pages'"
        wait_until(lambda: one(watcher, copied), what="the copy ends")
        barrier = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%pg_logical_emit_message%%' AND pid <> pg_backend_pid()"
        wait_until(lambda: done.done() or one(watcher, barrier), what="the build waits for the stream")
        gate.execute("COMMIT")
        done.result(30)
    m.assert_same()


@pytest.mark.parametrize("command", ["VACUUM FULL pages", "CLUSTER pages USING pages_pkey"])
def test_a_table_that_is_rewritten_between_ranges(m: Driver, connect: Connect, database: Database, command: str) -> None:
    """Given a command that moves rows unseen, then the copy of that table begins again."""
    owner, watcher = connect(database.owner), connect(database.superuser)

    def rewrite() -> None:
        def run() -> None:
            owner.execute(command.encode())

        with background(run) as done:  # it comes before the next range, which asks for its lock later
            wait_for_lock_wait(watcher, owner.info.backend_pid)
            watcher.execute("SELECT pg_advisory_unlock_all()")
            done.result(30)

    make_room(m, "ctid < '(8,0)'")
    before = block(owner, "page 200")
    between_ranges(m, watcher, rewrite)
    assert block(owner, "page 200") != before
    assert one(m.conn, "SELECT message FROM swap.event WHERE kind = 'backfill'") == (
        "public.pages was rewritten meanwhile: its copy begins again"
    )
    m.assert_same()


@pytest.mark.both_modes
def test_a_build_that_fails_at_any_index_goes_on(m: Driver, monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    """I4: given a `sync` that ends before the index on a key, and writes after each end, when it is run again, then no row is
    missing, and none that replay has written is dropped as queued."""
    app, build, failed = connect(m.db.app), swap.sync.indexes.ensure_index, set[str]()

    def ensure(conn: Connection, index: IndexPlan, settings: Settings, *, concurrently: bool) -> None:
        if index.build_name not in failed:
            failed.add(index.build_name)
            raise InterruptedError
        build(conn, index, settings, concurrently=concurrently)

    monkeypatch.setattr(swap.sync.build, "ensure_index", ensure)
    for n in range(40):
        app.execute("UPDATE pages SET body = body || '.' WHERE slug LIKE '%%0'")
        app.execute(b"INSERT INTO pages VALUES (%s, 1, 'x'); ", [f"between {n}"])
        app.execute("DELETE FROM pages WHERE slug = %s", [f"page {2 * n + 10}"])
        try:
            m.sync()
        except InterruptedError:
            continue
        break
    assert len(failed) >= 3
    m.assert_same()


def test_a_kill_between_the_ranges_keeps_the_bound(m: Driver, connect: Connect) -> None:
    """I4, H12: given a copy that ends after its first range, and a table that grows, when it is run again, then it ends at the
    block that was the last one when it began."""
    app, watcher = connect(m.db.app), connect(m.db.superuser)

    def cancel() -> None:
        watcher.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'swap test (public.pages)'"
        )

    with pytest.raises(Exception, match="terminating connection"):
        between_ranges(m, watcher, cancel)
    last = one(m.conn, "SELECT last FROM swap.bound WHERE part = %s", PART)
    app.execute("INSERT INTO pages SELECT 'new ' || n, 1, repeat('z', 700) FROM generate_series(1, 400) n")
    m.sync()
    assert one(m.conn, "SELECT max(high) FROM swap.chunk WHERE part = %s", PART) == last
    m.assert_same()


def test_rows_that_wait_are_found_by_the_copy(migrate: Migrate, database: Database, connect: Connect) -> None:
    """I3: given rows that refer to nobody, and may not be without a uuid, then the copy leaves them out and notes them; they come
    with the row that they refer to."""
    more = "INSERT INTO logs (user_id, what) VALUES (77, 'early'), (77, 'early'), (78, 'never'); INSERT INTO notes (about_id) VALUES (77)"
    m = migrate(
        database, test_several_tables.SCHEMA + more, identity={"existing": "column"}, reference=test_several_tables.DECLARED
    ).synced()  # fmt: skip
    logs = m.mappings[test_several_tables.TABLES["logs"]]
    assert len(held_keys(m.conn, m.plan, logs)) == 3
    app = connect(database.app)
    app.execute("INSERT INTO users (id, email) VALUES (77, 'late')")
    m.drain()
    assert len(held_keys(m.conn, m.plan, logs)) == 1
    assert one(m.conn, "SELECT count(DISTINCT user_uuid_id) FROM public.logs_new WHERE what = 'early'") == 1
    app.execute("DELETE FROM logs WHERE user_id = 78")
    m.drain()
    assert held_keys(m.conn, m.plan, logs) == set()
    m.assert_same()
