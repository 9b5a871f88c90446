"""Replay: the shadow is a function of the source whatever order changes came in (I3), and progress commits with it (I4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import pytest
from psycopg import sql

from swap.core.errors import DefectError, RefusedError
from swap.ddl.backfill import copy_rows, key_range
from swap.ddl.change_tables import change_table
from swap.plan.direction import forward
from swap.sync import rotate
from swap.sync.replay import replay_batch
from tests.support.migration import Driver, Migrate, Session, Synced, background, migrations, waiting_for
from tests.support.mode import Mode
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait, wait_until

pytestmark = pytest.mark.sampled(2)

# 12 columns: a hole, unique values that may be exchanged at once or not, big values, all that may be NULL.
SCHEMA = """
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    gone text,
    email text NOT NULL UNIQUE,
    code text UNIQUE DEFERRABLE,
    seat integer UNIQUE DEFERRABLE INITIALLY DEFERRED,
    handle text,
    amount numeric,
    bio text,
    data jsonb,
    tags text[],
    doubled bigint GENERATED ALWAYS AS (id * 2) STORED,
    inviter_id bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE users DROP COLUMN gone;
ALTER TABLE users ALTER bio SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX users_handle ON users (lower(handle));
CREATE INDEX users_inviter ON users (inviter_id);
INSERT INTO users (id, email, code, seat, handle, amount, bio, data, tags)
SELECT n, 'user' || n, 'code' || n, n, 'handle' || n, 1.0, repeat('long ', 2000), '{"n": 1}', '{a,NULL}'
FROM generate_series(1, 8) n;
UPDATE users SET inviter_id = 1 WHERE id IN (2, 3);
SELECT setval('users_id_seq', 1000);
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def m(synced: Synced, database: Database) -> Driver:
    made = synced(database, SCHEMA)
    made.assert_same()
    made.forget()
    return made


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


@pytest.fixture
def with_column(synced: Synced, database: Database) -> Driver:
    """The uuids are in a column: a row that is inserted again under its key has another one."""
    return synced(database, SCHEMA, identity={"existing": "column"})


def shadow(m: Driver, key: int, column: LiteralString) -> Any:
    row = m.conn.execute(sql.SQL("SELECT {} FROM public.users_new WHERE id = %s").format(sql.SQL(column)), [key]).fetchone()
    return row and row[0]


# One change at a time, and all of them together, in batches of every size.

CHANGES: dict[str, LiteralString] = {
    "to-null": "UPDATE users SET code = NULL, seat = NULL, handle = NULL, amount = NULL, bio = NULL, data = NULL, tags = NULL WHERE id = 4",
    "row-of-nulls": "INSERT INTO users (id, email) VALUES (50, 'nothing else')",
    "from-null": "UPDATE users SET code = 'c50', bio = repeat('x', 9000) WHERE id = 50",
    "toast-untouched": "UPDATE users SET amount = 2 WHERE id = 5",
    "toast-changed": "UPDATE users SET bio = overlay(bio PLACING '!' FROM 9000) WHERE id = 6",
    "scale-only": "UPDATE users SET amount = 1.00 WHERE id = 7",
    "key-zero": "INSERT INTO users (id, email, inviter_id) VALUES (0, 'zero', 8)",
    "key-negative": "INSERT INTO users (id, email, inviter_id) VALUES (-7, 'minus', 0)",
    "key-moves": "UPDATE users SET id = id - 100 WHERE id IN (4, 5)",
    "delete": "DELETE FROM users WHERE id = 6",
    "reinsert": "INSERT INTO users (id, email, code, seat, handle) VALUES (6, 'user6', 'code6', 6, 'handle6')",
    "inviter": "UPDATE users SET inviter_id = 0 WHERE id = 2",
    "itself": "UPDATE users SET inviter_id = id WHERE id = 8",
    "bulk": "UPDATE users SET seat = seat + 1",
}  # fmt: skip


@pytest.mark.both_modes
def test_each_change_arrives(m: Driver, app: Session) -> None:
    """H5, I3: given one change after the other, when each is replayed alone, then the sides are the same to the bit."""
    for name, change in CHANGES.items():
        app.execute(change)
        assert m.replay().complete
        assert m.differences() == [], name
    assert m.replay().entries == 0


@pytest.mark.parametrize("limit", [0, 1, 2, 3, None])
def test_batches_of_any_size(m: Driver, app: Session, limit: int | None) -> None:
    """Given a batch limit under one transaction's size, then whole transactions are taken, none twice and none left."""
    changes_of_one_row = [change for name, change in CHANGES.items() if name != "bulk"]
    with app.transaction():
        for change in changes_of_one_row[:5]:
            app.execute(change)
    for change in changes_of_one_row[5:]:
        app.execute(change)
    queued = m.pending()
    first = m.replay(limit)
    assert first.entries >= 5
    assert first.complete == (limit is None)
    taken = first.entries
    while not (batch := m.replay(limit)).complete:
        taken += batch.entries
    assert taken + batch.entries == queued
    assert m.pending() == 0
    m.assert_same()


def test_scale_is_replayed_though_equal(m: Driver, app: Session) -> None:
    """H5: 1.0 and 1.00 are equal and not the same."""
    app.execute("UPDATE users SET amount = 1.00 WHERE id = 1")
    m.drain()
    assert shadow(m, 1, "amount::text") == "1.00"


def test_a_row_that_is_the_same_again_is_not_written(m: Driver, app: Session) -> None:
    app.execute("UPDATE users SET amount = 1.0 WHERE id = 1")
    before = shadow(m, 1, "xmin::text || ctid::text")
    assert m.replay().entries == 1
    assert shadow(m, 1, "xmin::text || ctid::text") == before


@pytest.mark.both_modes
def test_truncate_then_the_same_keys_again(m: Driver, app: Session) -> None:
    """H6: given TRUNCATE and inserts of the same keys with other uuids, in one transaction and in several."""
    with app.transaction():
        app.execute("TRUNCATE users")
        app.execute("INSERT INTO users (id, email, inviter_id) VALUES (1, 'new one', NULL), (2, 'user1', 1)")
    m.drain(0)
    m.assert_same()
    app.execute("TRUNCATE users")
    app.execute("INSERT INTO users (id, email) VALUES (2, 'again')")
    m.drain(0)
    m.assert_same()
    assert m.conn.execute("SELECT count(*) FROM public.users_new").fetchone() == (1,)


# Unique values on the move (H3).


def test_exchange_in_one_statement(m: Driver, app: Session) -> None:
    """H3: given DEFERRABLE unique constraints, when two rows exchange their values in one statement."""
    app.execute("UPDATE users SET code = CASE id WHEN 1 THEN 'code2' ELSE 'code1' END WHERE id IN (1, 2)")
    app.execute("UPDATE users SET seat = CASE id WHEN 1 THEN 2 ELSE 1 END WHERE id IN (1, 2)")
    m.drain(0)
    m.assert_same()


EXCHANGES: dict[str, list[LiteralString]] = {
    "email": [
        "UPDATE users SET email = 'aside' WHERE id = 1",
        "UPDATE users SET email = 'user1' WHERE id = 2",
        "UPDATE users SET email = 'user2' WHERE id = 1",
    ],
    "handle-expression": [
        "UPDATE users SET handle = 'aside' WHERE id = 1",
        "UPDATE users SET handle = 'HANDLE1' WHERE id = 2",
        "UPDATE users SET handle = 'HANDLE2' WHERE id = 1",
    ],
    "deferred-seat": [
        "UPDATE users SET seat = -1 WHERE id = 1",
        "UPDATE users SET seat = 1 WHERE id = 2",
        "UPDATE users SET seat = 2 WHERE id = 1",
    ],
    "chain": [
        "DELETE FROM users WHERE id = 8",
        "UPDATE users SET email = 'user8' WHERE id = 7",
        "UPDATE users SET email = 'user7' WHERE id = 6",
        "UPDATE users SET email = 'user6' WHERE id = 5",
    ],
    "uuid-moves-to-another-key": [
        "UPDATE users SET id = 500 WHERE id = 4",
        "UPDATE users SET id = 4 WHERE id = 5",
        "UPDATE users SET id = 5 WHERE id = 500",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("limit", [0, 1, None])
def test_exchange_across_transactions(m: Driver, app: Session, name: str, limit: int | None) -> None:
    """H3: given values that travel between rows in several transactions, when they are drained in separate batches,
    then no conflict stops them and the sides are the same after the last."""
    for change in EXCHANGES[name]:
        app.execute(change)
    m.drain(limit)
    m.assert_same()


@pytest.mark.both_modes
def test_exchange_while_one_half_is_not_committed(m: Driver, app: Session, connect: Connect, database: Database) -> None:
    """H3, H8: given a value handed over by a transaction still open, then what is committed is replayed meanwhile."""
    other = connect(database.app)
    other.execute("BEGIN")
    other.execute("UPDATE users SET email = 'aside' WHERE id = 1")
    app.execute("UPDATE users SET handle = 'committed' WHERE id = 2")
    m.drain(0)
    assert m.differences() == []
    other.execute("COMMIT")
    app.execute("UPDATE users SET email = 'user1' WHERE id = 2")
    app.execute("UPDATE users SET email = 'user2' WHERE id = 1")
    m.drain(0)
    m.assert_same()


def test_a_conflict_without_a_queued_change_is_a_defect(m: Driver, app: Session) -> None:
    """I7, H38: given a stray row in the shadow, then replay stops with exit 1, names the conflict and applies nothing."""
    m.conn.execute("INSERT INTO public.users_new (id, email) VALUES (77, 'taken')")
    app.execute("UPDATE users SET handle = 'innocent' WHERE id = 3")
    app.execute("UPDATE users SET email = 'taken' WHERE id = 1")
    watermark = str(m.watermark())
    with pytest.raises(DefectError, match=r"users_new.*taken") as raised:
        m.drain()
    assert raised.value.exit_code == 1
    assert str(m.watermark()) == watermark
    assert m.pending() == 2
    assert shadow(m, 3, "handle") == "handle3"
    m.conn.execute("DELETE FROM public.users_new WHERE id = 77")
    m.drain()
    m.assert_same()


def test_any_other_conflict_is_not_swallowed(m: Driver, app: Session) -> None:
    """I7: a CHECK that only the shadow has."""
    m.conn.execute("ALTER TABLE public.users_new ADD CHECK (email <> 'bad')")
    app.execute("UPDATE users SET email = 'bad' WHERE id = 1")
    with pytest.raises(RefusedError, match="users_new_email_check"):
        m.drain()
    assert m.pending() == 1


# Order of commits (H8).


@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, 1, None])
def test_first_in_the_queue_and_last_to_commit(m: Driver, connect: Connect, database: Database, limit: int | None) -> None:
    """H8: given a transaction whose entry came first, when later ones commit and are replayed before it commits,
    then its change is replayed all the same."""
    slow, quick = connect(database.app), connect(database.app)
    slow.execute("BEGIN")
    slow.execute("UPDATE users SET amount = 10 WHERE id = 1")
    for n in range(2, 6):
        quick.execute("UPDATE users SET amount = %s WHERE id = %s", [n, n])
    slow.execute("UPDATE users SET amount = 10 WHERE id = 6")
    m.drain(limit)
    assert m.pending() == 0
    assert m.differences() == []
    slow.execute("COMMIT")
    assert m.differences() == [1, 6]
    assert m.pending() == 2
    m.drain(limit)
    m.assert_same()
    assert m.pending() == 0


def test_a_subtransaction_of_a_slow_writer_is_not_skipped(m: Driver, app: Session, connect: Connect, database: Database) -> None:
    """H8: entries carry the top-level id, whichever savepoint wrote them."""
    slow = connect(database.app)
    slow.execute("BEGIN; SAVEPOINT a")
    slow.execute("UPDATE users SET amount = 10 WHERE id = 1")
    slow.execute("RELEASE a; SAVEPOINT b")
    app.execute("UPDATE users SET amount = 3 WHERE id = 3")
    m.drain(0)
    slow.execute("UPDATE users SET amount = 10 WHERE id = 2")
    app.execute("UPDATE users SET amount = 4 WHERE id = 3")
    m.drain(0)
    slow.execute("COMMIT")
    m.drain(0)
    m.assert_same()


def test_replay_that_fails_takes_nothing(m: Driver, app: Session) -> None:
    """I4: the watermark and the rows move in one transaction."""
    app.execute("UPDATE users SET amount = 5 WHERE id = 1")
    m.deliver()
    watermark = str(m.watermark())
    with m.conn.transaction(force_rollback=True):
        m.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert replay_batch(m, None, two_pass=False).entries == 1
        assert m.pending() == 0
    assert str(m.watermark()) == watermark
    assert m.differences() == [1]
    m.drain()
    m.assert_same()


# Own references.

REBORN: LiteralString = """
BEGIN;
DELETE FROM users WHERE id = 1;
INSERT INTO users (id, email, code, seat, handle) VALUES (1, 'user1', 'code1', 1, 'handle1');
COMMIT
"""


@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, None])
def test_a_parent_reborn_with_another_uuid(with_column: Driver, connect: Connect, limit: int | None) -> None:
    """I3, H23: given a parent deleted and inserted again under the same key in one transaction, when its children did
    not change, then they have the new uuid once the queue says it is empty."""
    m, app = with_column, connect(with_column.db.app)
    before = shadow(m, 1, "uuid_id")
    app.execute(REBORN)
    m.drain(limit)
    assert shadow(m, 1, "uuid_id") != before
    m.assert_same()


def test_a_parent_reborn_in_a_batch_with_an_exchange(with_column: Driver, connect: Connect) -> None:
    """I3, H3, H23: the same when a unique value on the move makes replay delete every row before it inserts."""
    m, app = with_column, connect(with_column.db.app)
    app.execute(REBORN)
    for change in EXCHANGES["email"]:
        app.execute(change)
    m.drain(0)
    m.assert_same()


def test_a_parent_reborn_after_truncate(with_column: Driver, connect: Connect) -> None:
    m, app = with_column, connect(with_column.db.app)
    app.execute("TRUNCATE users")
    app.execute("INSERT INTO users (id, email, inviter_id) VALUES (1, 'a', NULL), (2, 'b', 1)")
    m.drain()
    app.execute("BEGIN; TRUNCATE users; INSERT INTO users (id, email, inviter_id) VALUES (1, 'a', 2), (2, 'b', 1); COMMIT")
    m.drain()
    m.assert_same()


def test_a_child_before_its_parent(m: Driver, app: Session) -> None:
    """H23: a deferred foreign key lets the child come first."""
    app.execute("BEGIN; INSERT INTO users (id, email, inviter_id) VALUES (60, 'child', 61)")
    app.execute("INSERT INTO users (id, email) VALUES (61, 'parent'); COMMIT")
    m.drain(0)
    m.assert_same()


DECLARED = """
CREATE TABLE users (id serial PRIMARY KEY, inviter_id integer, email text NOT NULL);
CREATE INDEX ON users (inviter_id);
INSERT INTO users (email, inviter_id) VALUES ('a', NULL), ('b', 1), ('c', 40);
"""


@pytest.mark.parametrize("existing", ["column", "derived"])
def test_an_own_reference_without_a_foreign_key(migrate: Migrate, database: Database, connect: Connect, existing: str) -> None:
    """H19, I3: given a declared self reference that may name nobody, when that row comes or goes, then the rows that
    name it follow."""
    references = [{"table": "public.users", "column": "inviter_id"}]
    m = migrate(database, DECLARED, reference=references, identity={"existing": existing}).synced()
    assert m.differences() == []
    app = connect(database.app)
    app.execute("INSERT INTO users (id, email) VALUES (40, 'came later')")
    m.drain()
    assert m.differences() == []
    app.execute("DELETE FROM users WHERE id = 1")
    m.drain()
    assert m.differences() == []


# Backfill beside writers (H1, H2): 12 000 rows with even keys; the first of several ranges waits before its commit.

WIDE = """
CREATE TABLE users (id bigint PRIMARY KEY DEFAULT 7, email text NOT NULL UNIQUE, n integer,
    uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid());
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE);
CREATE INDEX ON sessions (user_id);
INSERT INTO users SELECT 2 * n, 'user' || 2 * n, 0 FROM generate_series(1, 12000) n;
INSERT INTO sessions (user_id) SELECT 2 * n FROM generate_series(1, 100) n;
"""


@pytest.fixture
def wide(synced: Synced, database: Database) -> Driver:
    return synced(database, WIDE, prepared=True, sync={"chunk_target_ms": 10})


def during_the_first_range(
    m: Driver, watcher: Session, change: Callable[[], object], after: Callable[[], object] = lambda: None
) -> None:
    """Backfill with its first range held between read and commit while `change` runs, and `after` run once that range
    is committed and the second held."""
    m.hold_chunks("users", 1, 2)
    watcher.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")

    def let_go() -> None:
        watcher.execute("SELECT pg_advisory_unlock_all()")

    with background(m.sync, let_go) as synced:
        wait_until(lambda: waiting_for(watcher, 1), what="the first range is read")
        change()
        watcher.execute("SELECT pg_advisory_unlock(1)")
        wait_until(lambda: waiting_for(watcher, 2), what="the second range is read")
        after()
        let_go()
        synced.result(30)
    m.assert_same()


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("commit_after", [False, True], ids=["commits-before-the-range", "commits-after-the-range"])
def test_deleted_between_a_ranges_read_and_its_commit(
    wide: Driver, connect: Connect, database: Database, isolation: LiteralString, commit_after: bool
) -> None:
    """H1: given a writer whose snapshot is older than the copy, when it deletes a row that the range has read, then no
    ghost of it is left."""
    writer, watcher = connect(database.app), connect(database.superuser)
    writer.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(sql.SQL(isolation)))
    writer.execute("SELECT count(*) FROM users WHERE id = 10")

    def delete() -> None:
        writer.execute("DELETE FROM users WHERE id = 10")
        if not commit_after:
            writer.execute("COMMIT")

    during_the_first_range(wide, watcher, delete, lambda: writer.execute("COMMIT") if commit_after else None)
    assert shadow(wide, 10, "email") is None
    assert shadow(wide, 12, "email") == "user12"


@pytest.mark.both_modes
def test_updates_before_during_and_after_their_range(wide: Driver, connect: Connect, database: Database) -> None:
    """H2: updates, inserts, deletes and key updates on both sides of the first range's edge (keys 2 to 10000), before
    it is read, while it is read and after it is committed."""
    app, watcher = connect(database.app), connect(database.superuser)

    def write(base: int) -> None:
        app.execute("UPDATE users SET n = n + 1 WHERE id IN (%s, %s)", [base, base + 12_000])
        app.execute("UPDATE users SET id = id + 12001 WHERE id = %s", [base + 2])  # out of the range
        app.execute("UPDATE users SET id = id - 12001 WHERE id = %s", [base + 12_006])  # into it
        app.execute("UPDATE users SET id = -id WHERE id = %s", [base + 8])  # below every bound
        app.execute("DELETE FROM users WHERE id IN (%s, %s)", [base + 10, base + 12_010])
        app.execute("DELETE FROM users WHERE id = %s", [base + 12])
        app.execute("INSERT INTO users VALUES (%s, %s, 9)", [base + 12, f"again {base}"])
        app.execute("INSERT INTO users VALUES (%s, %s, 9)", [base + 50_001, f"beyond {base}"])
        app.execute("UPDATE users SET email = email || '!' WHERE id = %s", [base + 14])
        app.execute("INSERT INTO users VALUES (%s, %s, 9)", [base + 17, f"user{base + 14}"])  # a unique value moves on

    write(20)
    during_the_first_range(wide, watcher, lambda: write(60), lambda: write(100))
    assert shadow(wide, 22, "id") is None
    assert shadow(wide, 12_023, "email") == "user22"


def test_on_update_cascade_keeps_the_pair(wide: Driver, connect: Connect, database: Database) -> None:
    """H2: given ON UPDATE CASCADE, when a referenced key changes during and after backfill."""
    app, watcher = connect(database.app), connect(database.superuser)
    during_the_first_range(wide, watcher, lambda: app.execute("UPDATE users SET id = 30001 WHERE id = 2"))
    app.execute("UPDATE users SET id = 3 WHERE id = 4")
    app.execute("DELETE FROM users WHERE id = 6")
    wide.drain()
    wide.assert_same()
    kept = "SELECT count(*) FROM public.sessions_new WHERE user_id IN (30001, 3) AND user_uuid_id IS NOT NULL"
    assert wide.conn.execute(kept).fetchone() == (2,)


@pytest.mark.both_modes
def test_truncate_during_backfill(wide: Driver, connect: Connect, database: Database) -> None:
    """H6, H2: TRUNCATE waits for the range in hand; what was copied goes, what comes after stays."""
    owner, watcher = connect(database.owner), connect(database.superuser)
    wide.hold_chunks("users", 1)
    watcher.execute("SELECT pg_advisory_lock(1)")

    def truncate() -> None:
        owner.execute("TRUNCATE users CASCADE; INSERT INTO users VALUES (4, 'new four', 1), (40000, 'new', 1)")

    def let_go() -> None:
        watcher.execute("SELECT pg_advisory_unlock_all()")

    with background(wide.sync, let_go) as synced:
        wait_until(lambda: waiting_for(watcher, 1), what="the first range is read")
        with background(truncate, let_go) as truncated:
            wait_for_lock_wait(watcher, owner.info.backend_pid)
            let_go()
            truncated.result(30)
        synced.result(30)
    wide.drain()
    wide.assert_same()
    assert wide.conn.execute("SELECT count(*) FROM public.users_new").fetchone() == (2,)


def test_a_unique_index_is_not_built_over_a_stale_shadow(wide: Driver, connect: Connect, database: Database) -> None:
    """H4: given a unique value that moved from a copied row to one copied later, then the index is built after the
    drain and finds no duplicate that the source never had."""
    app, watcher = connect(database.app), connect(database.superuser)

    def move() -> None:
        app.execute("UPDATE users SET email = 'elsewhere' WHERE id = 2")
        app.execute("UPDATE users SET email = 'user2' WHERE id = 20000")

    during_the_first_range(wide, watcher, move)
    assert shadow(wide, 20_000, "email") == "user2"


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "INSERT INTO users VALUES (-5, 'only', 1)",
        "INSERT INTO users VALUES (-9223372036854775808, 'low', 1), (0, 'zero', 1), (9223372036854775807, 'high', 1)",
    ],
)
def test_backfill_of_odd_tables(migrate: Migrate, database: Database, rows: str, connect: Connect) -> None:
    """An empty table, one negative key, both ends of the range."""
    m = migrate(database, WIDE.split("INSERT", maxsplit=1)[0] + rows).synced()
    m.assert_same()
    connect(database.app).execute("INSERT INTO users VALUES (1, 'later', 1)")
    m.drain()
    m.assert_same()


@pytest.mark.parametrize("kind", ["smallint", "integer"])
def test_narrow_keys(migrate: Migrate, database: Database, connect: Connect, kind: str) -> None:
    m = migrate(
        database,
        f"CREATE TABLE users (id {kind} PRIMARY KEY, up {kind} REFERENCES users); INSERT INTO users VALUES (1, 1), (-2, 1)",
    ).synced()
    m.assert_same()
    app = connect(database.app)
    app.execute(
        "INSERT INTO users VALUES (3, -2); UPDATE users SET up = 3 WHERE id = 1; UPDATE users SET up = NULL WHERE id = -2; DELETE FROM users WHERE id = -3"
    )
    m.drain(0)
    m.assert_same()


def test_a_range_whose_first_owner_commits_late_is_not_copied_twice(wide: Driver, connect: Connect, database: Database) -> None:
    """I4: given a killed sync whose session still has a range's commit before it, when another sync does that range
    again, then its rows are there once."""
    wide.conn.execute("UPDATE swap.run SET phase = 'backfilling', bound = 24000")
    wide.conn.execute("INSERT INTO swap.chunk (run_id, part, number, low, high) VALUES (%s, 'users', 1, 2, 10000)", [wide.run.id])
    wide.run = wide.journal.get(wide.run.id)
    ghost, watcher = connect(database.owner, autocommit=False), connect(database.superuser)
    d = forward(wide.plan)
    copied = ghost.execute(copy_rows(wide.plan, d, key_range(d, sql.Literal(2), sql.Literal(10_000)))).rowcount
    ghost.execute("UPDATE swap.chunk SET rows = %s, done_at = now() WHERE number = 1 AND part = 'users'", [copied])

    def blocked() -> bool:
        row = watcher.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", [ghost.info.backend_pid]
        ).fetchone()
        return row is not None and row[0] > 0

    with background(wide.sync, ghost.close) as synced:
        wait_until(blocked, what="the second owner waits for the first")
        ghost.commit()
        synced.result(30)
    wide.assert_same()


# A queue with a history (H11).


def reads(m: Driver) -> int:
    """Tuples and index entries that this database's sessions have read from the change tables so far."""
    m.conn.execute("SELECT pg_stat_force_next_flush()")
    row = m.conn.execute(
        "SELECT sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))::bigint + (SELECT sum(i.idx_tup_read)::bigint FROM pg_stat_user_indexes i"
        " WHERE i.relname = ANY (%(names)s)) FROM pg_stat_user_tables t WHERE t.relname = ANY (%(names)s)",
        {"names": [change_table(m.plan, n).name for n in (0, 1)]},
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_cost_follows_new_changes_under_an_old_snapshot(m: Driver, app: Session, connect: Connect, database: Database) -> None:
    """H11: given a snapshot held open since before 20 000 changes that were replayed, when one more comes, then replay
    reads some entries, not the history."""
    reader = connect(database.superuser)
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM users")
    for _ in range(10):
        app.execute("INSERT INTO users (email) SELECT 'h' || gen_random_uuid() FROM generate_series(1, 1000)")
        app.execute("DELETE FROM users WHERE email LIKE 'h%'")
        m.drain()
    assert len(m.captured()) == 20_000
    costs = []
    for n in range(3):
        before = reads(m)
        app.execute("UPDATE users SET amount = %s WHERE id = 1", [n + 2])
        assert m.replay(20_000).entries == 1
        costs.append(reads(m) - before)
    assert max(costs) < 100, costs
    m.assert_same()


def test_idle_replay_reads_nothing_of_the_history(m: Driver, app: Session) -> None:
    """H11: an empty queue costs nothing."""
    app.execute("INSERT INTO users (email) SELECT 'h' || n FROM generate_series(1, 5000) n")
    m.drain()
    before = reads(m)
    for _ in range(5):
        assert m.replay(20_000).entries == 0
    assert reads(m) - before < 50


# Rotation.


def entries(m: Driver, table_no: int) -> int:
    m.deliver()
    row = m.conn.execute(sql.SQL("SELECT count(*) FROM {}").format(change_table(m.plan, table_no).sql)).fetchone()
    assert row is not None
    return int(row[0])


def turn(m: Driver) -> bool:
    return rotate.rotate(m)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotate, "SWITCH_BYTES", 1)


@pytest.mark.both_modes
@pytest.mark.usefixtures("eager")
def test_rotation_empties_the_consumed_table(m: Driver, app: Session) -> None:
    """H11: writers move to the other table, the one behind the watermark is truncated, and back again."""
    for table_no in (0, 1, 0):
        app.execute("UPDATE users SET amount = amount + 1")
        assert (entries(m, table_no), entries(m, 1 - table_no)) == (8, 0)
        assert turn(m)  # the writers move on
        assert not turn(m)  # entries not consumed are kept
        assert entries(m, table_no) == 8
        m.drain()
        assert turn(m)  # consumed: truncated
        assert entries(m, table_no) == 0
    app.execute("UPDATE users SET amount = amount + 1")
    m.drain()
    m.assert_same()


@pytest.mark.both_modes
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("wrote", [True, False], ids=["wrote-before-the-switch", "writes-after-it"])
def test_rotation_never_loses_a_writer_in_flight(
    m: Driver, app: Session, connect: Connect, database: Database, capture_mode: Mode, wrote: bool
) -> None:
    """H11, H8: given a transaction open across the switch and the truncation, then no entry of it is lost, and nobody
    waits."""
    writer = connect(database.app, options="-c lock_timeout=2s")
    app.execute("UPDATE users SET amount = 3 WHERE id = 3")
    writer.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    writer.execute("UPDATE users SET amount = amount WHERE id = 8")
    if wrote:
        writer.execute("UPDATE users SET amount = 11 WHERE id = 1")
    m.drain()
    assert turn(m)
    assert not turn(m)  # the writer holds its table
    writer.execute("UPDATE users SET amount = 12 WHERE id = 2")
    m.drain()
    turn(m)
    writer.execute("UPDATE users SET amount = 14 WHERE id = 4")
    writer.execute("COMMIT")
    assert not turn(m)  # committed, not consumed
    m.drain()
    m.assert_same()
    assert turn(m)
    left = (entries(m, 0), entries(m, 1))
    # With triggers what the writer wrote after it is in the other table; a stream brings all of it with the commit.
    assert left in ((0, 0), (0, 2)) if capture_mode == "trigger" else 0 in left
    app.execute("UPDATE users SET amount = 15 WHERE id = 5")
    m.drain()
    m.assert_same()
