"""Exact reads, the default where the role sees other sessions' snapshots: what reads across an exchange sees one moment, or is told to retry (H70).

Each exchange here finds a change of a moment before its lock, which it drains under the lock. So a snapshot that shows the change
finds a table without it, where nothing stops it. With `reads = "fast"` that is what these readers see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from cutover.gates import why_closed
from cutover.run import Outcome
from swap.core.errors import LockError, RefusedError
from swap.ddl.exact_reads import TRAPPED
from swap.doctor.finding import Finding
from swap.state.journal import Phase
from swap.sync.exact_reads import release_reads
from tests.support.cycling import Cycle, Start, doctor
from tests.support.doctoring import only
from tests.support.migration import ROLES, Session, background
from tests.support.mode import REQUESTED
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, note text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE FUNCTION volatile() RETURNS bigint LANGUAGE plpgsql AS
    $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM users WHERE email = 'moved'; RETURN n; END $$;
CREATE FUNCTION returned() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM users WHERE email = 'moved'); END $$;
CREATE FUNCTION stable() RETURNS bigint STABLE LANGUAGE plpgsql AS
    $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM users WHERE email = 'moved'; RETURN n; END $$;
CREATE FUNCTION over_stable() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN stable(); END $$;
CREATE FUNCTION dynamic() RETURNS bigint LANGUAGE plpgsql AS
    $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM users WHERE email = ''moved''' INTO n; RETURN n; END $$;
"""
FILLED = """
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
# By the table that is divided: the source, which is rebuilt, or a reference in place; and every name that reads rows.
PARTITIONED = {
    "users": (
        """
CREATE TABLE users (id bigserial, region text NOT NULL DEFAULT 'a', email text NOT NULL, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE users_a PARTITION OF users FOR VALUES IN ('a') PARTITION BY LIST (region);
CREATE TABLE users_a_all PARTITION OF users_a DEFAULT;
CREATE TABLE users_b PARTITION OF users DEFAULT;
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL, region text NOT NULL DEFAULT 'a',
    FOREIGN KEY (user_id, region) REFERENCES users (id, region));
""" + FILLED,
        ["users", "users_a", "users_a_all", "users_b", "sessions"],
    ),
    "sessions": (
        """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial, user_id bigint NOT NULL REFERENCES users, region text NOT NULL DEFAULT 'a', PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE sessions_a PARTITION OF sessions FOR VALUES IN ('a');
CREATE TABLE sessions_b PARTITION OF sessions DEFAULT;
""" + FILLED,
        ["users", "sessions", "sessions_a", "sessions_b"],
    ),
}  # fmt: skip
LOOK = "SELECT count(*) FROM users WHERE email = 'moved'"
PATIENT = {"lock_timeout_ms": 30_000, "max_lock_hold_ms": 30_000}
Reader = Callable[[Session], int]
RETRY = "40001"


def query(text: str) -> Reader:
    def read(session: Session) -> int:
        row = session.execute(text.encode()).fetchone()
        assert row is not None
        return int(row[0])

    return read


def copy(text: str) -> Reader:
    def read(session: Session) -> int:
        with session.cursor().copy(text.encode()) as rows:
            return sum("moved" in row for row in rows.rows())

    return read


def cursor(session: Session) -> int:
    with session.transaction():
        session.execute("DECLARE look CURSOR FOR SELECT email FROM users WHERE email = 'moved'")
        return len(session.execute("FETCH ALL FROM look").fetchall())


def prepared(session: Session) -> int:
    row = session.execute(LOOK, prepare=True).fetchone()
    assert row is not None
    return int(row[0])


READERS: dict[str, Reader] = {
    "plain": query(LOOK),
    "with a comment": query(f"/* page (1) */ -- it\n {LOOK}"),
    "prepared": prepared,
    "a cursor": cursor,
    "a volatile function": query("SELECT volatile()"),
    "an expression": query("SELECT returned()"),
    "a stable function": query("SELECT stable()"),
    "a stable function in a volatile one": query("SELECT over_stable()"),
    "dynamic": query("SELECT dynamic()"),
    "EXECUTE": query("EXECUTE looking"),
    "COPY of a query": copy("COPY (SELECT email FROM users) TO STDOUT"),
}
# READ COMMITTED, and waiting for the exchange: these read with a snapshot of after their wait. The others keep the one of before.
NEWEST = {"plain", "with a comment", "prepared", "a cursor", "a volatile function", "an expression"}


def tried(reader: Reader, session: Session) -> int | str | None:
    try:
        return reader(session)
    except psycopg.Error as e:
        return e.sqlstate


@pytest.fixture
def sees(connect: Connect, database: Database) -> Iterator[None]:
    """swap_owner sees other sessions' snapshots."""
    conn = connect(database.superuser)
    conn.execute(ROLES)
    conn.execute("GRANT pg_monitor TO swap_owner")
    yield
    conn.execute("REVOKE pg_monitor FROM swap_owner")


class Held:
    """Exchanges of a cycle that are held when they have the source."""

    def __init__(self, cycle: Cycle, connect: Connect, database: Database) -> None:
        self.cycle, self.connect, self.database = cycle, connect, database
        self.look = connect(database.superuser)
        self.outcome: Outcome | None = None

    @contextmanager
    def exchange(self, kind: str, *, moved: bool = True) -> Iterator[None]:
        """The block runs while the exchange holds users and waits for sessions. `moved`: a row was changed right before that, and is
        not replayed yet."""
        writer, holder = (self.connect(self.database.superuser, autocommit=False) for _ in range(2))
        if moved:
            writer.execute("UPDATE users SET email = 'moved' WHERE email = 'user1'")
        holder.execute("LOCK TABLE sessions IN ROW SHARE MODE")

        def release() -> None:
            writer.rollback()
            holder.rollback()

        with background(lambda: self.cycle.exchange(kind), release) as exchange:
            if moved:
                assert wait_for_lock_wait(self.look, self.cycle.m.pid) == [writer.info.backend_pid]
                writer.commit()
            while wait_for_lock_wait(self.look, self.cycle.m.pid) != [holder.info.backend_pid]:
                pass
            yield
            holder.rollback()
            self.outcome = exchange.result(60)
            assert self.outcome.outcome == "committed"
            assert (self.outcome.drained_changes > 0) == (moved and self.outcome.attempts == 1)

    def back(self) -> None:
        """The moved row is as before, on both sides."""
        self.look.execute("UPDATE users SET email = 'user1' WHERE email = 'moved'")
        self.cycle.caught_up()

    def sessions(self, *, old: bool) -> dict[str, Session]:
        """One of the application's for each reader. `old`: in a REPEATABLE READ transaction."""
        made = {name: self.connect(self.database.app) for name in READERS}
        made["EXECUTE"].execute(f"PREPARE looking AS {LOOK}".encode())
        prepared(made["prepared"])
        for session in made.values() if old else ():
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        return made

    def keeper(self) -> Session:
        """Keeps the trap of every later exchange in place."""
        session = self.connect(self.database.app)
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        return session

    def trap(self) -> int:
        row = self.look.execute("SELECT count(*) FROM pg_statistic_ext WHERE stxnamespace = 'swap'::regnamespace").fetchone()
        assert row is not None
        assert self.cycle.m.journal.step_done(self.cycle.m.run.id, TRAPPED) == (row[0] > 0)
        return int(row[0])


MakeHeld = Callable[..., Held]


@pytest.fixture
def held(start: Start, connect: Connect, database: Database, sees: None) -> MakeHeld:
    def make(schema: str = SCHEMA, **cutover: object) -> Held:
        cycle = start(schema, cutover=PATIENT | cutover)
        cycle.ready()
        return Held(cycle, connect, database)

    return make


@pytest.mark.both_modes
def test_a_read_across_an_exchange_is_of_one_moment_or_an_error(held: MakeHeld) -> None:
    """H70: given readers that wait for a cutover, and readers whose snapshot is of before it, then no result is without the change
    that all their snapshots show. The trap stays for as long as one of these snapshots does, and is no drift meanwhile."""
    h = held()
    for kind in ("cutover", "revert"):
        old, waiting = h.sessions(old=True), h.sessions(old=False)
        with ThreadPoolExecutor(len(waiting)) as pool, h.exchange(kind):
            for session in old.values():
                session.execute("SELECT 1")
            seen = {name: pool.submit(tried, READERS[name], session) for name, session in waiting.items()}
            for session in waiting.values():
                wait_for_lock_wait(h.look, session.info.backend_pid)
        assert {name: found.result() for name, found in seen.items()} == {n: 1 if n in NEWEST else RETRY for n in READERS}, kind
        assert h.trap() == 2
        h.cycle.verified()
        assert {name: tried(READERS[name], session) for name, session in old.items()} == dict.fromkeys(READERS, RETRY), kind
        for session in old.values():
            session.execute("ROLLBACK")
        assert {name: tried(READERS[name], session) for name, session in old.items()} == dict.fromkeys(READERS, 1), kind
        h.back()  # it runs `sync`
        assert h.trap() == 0
    h.cycle.abort()


@pytest.mark.skipif(REQUESTED == "logical", reason="a partitioned source is captured by triggers")
@pytest.mark.parametrize("divided", PARTITIONED)
def test_a_read_that_names_a_partition(held: MakeHeld, divided: str) -> None:
    """H70: a partition of any level is a table of its own for the planner. The trap goes from everything that has it: from a table that
    was made like a partition meanwhile, and from a partition that was detached."""
    schema, names = PARTITIONED[divided]
    h = held(schema)
    for kind in ("cutover", "revert"):
        old = {name: h.connect(h.database.app) for name in names}
        with h.exchange(kind):
            for session in old.values():
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        seen = {n: tried(query(f"SELECT count(*) FROM {n}"), session) for n, session in old.items()}
        assert seen == dict.fromkeys(names, RETRY), kind
        assert h.trap() == len(names)
        h.cycle.verified()
        for session in old.values():
            session.execute("ROLLBACK")
        if kind == "revert" and divided == "sessions":
            h.look.execute("CREATE TABLE alike (LIKE sessions_b INCLUDING ALL); ALTER TABLE sessions DETACH PARTITION sessions_b")
            h.look.execute("ALTER TABLE sessions_b DROP CONSTRAINT sessions_user_id_fkey")
        h.back()
        assert h.trap() == 0


def test_nothing_drained_under_the_lock_lets_its_waiters_go_on(held: MakeHeld) -> None:
    """H70: given no change since the last drain, every snapshot since then shows the truth. A snapshot of before is told to retry."""
    h = held()
    older = h.connect(h.database.app, autocommit=False)
    older.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    older.execute("SELECT 1")
    waiting, old = h.sessions(old=False), h.sessions(old=True)
    with ThreadPoolExecutor(len(waiting)) as pool, h.exchange("cutover", moved=False):
        for session in old.values():
            session.execute("SELECT 1")
        seen = {name: pool.submit(tried, READERS[name], session) for name, session in waiting.items()}
        for session in waiting.values():
            wait_for_lock_wait(h.look, session.info.backend_pid)
    assert {name: found.result() for name, found in seen.items()} == dict.fromkeys(READERS, 0)
    assert {name: tried(READERS[name], session) for name, session in old.items()} == dict.fromkeys(READERS, 0)
    assert tried(READERS["plain"], older) == RETRY


COPIES = {
    "COPY": ("", "COPY users TO STDOUT"),
    "LOCK in a snapshot": ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1", "LOCK TABLE users IN ACCESS SHARE MODE"),
}


@pytest.mark.parametrize("copies", COPIES.values(), ids=list(COPIES))
def test_a_copy_that_waits_rolls_the_exchange_back(held: MakeHeld, copies: tuple[str, str]) -> None:
    """H70: COPY of a table has no plan, and pg_dump locks its tables in its snapshot before it copies them. One that waits when the
    exchange is about to commit gets the table of before; the attempt is made again."""
    h = held(max_attempts=2)
    before, text = copies
    session = h.connect(h.database.app)
    pid = session.info.backend_pid

    def read() -> int | str | None:
        try:
            if not before:
                return tried(copy(text), session)
            session.execute(before.encode())
            session.execute(text.encode())
            return tried(READERS["plain"], session)
        finally:
            session.close()  # the next attempt does not wait for its transaction

    with ThreadPoolExecutor(1) as pool, h.exchange("cutover"):
        found = pool.submit(read)
        wait_for_lock_wait(h.look, pid)
    assert found.result() == 1
    assert h.outcome is not None
    assert re.match(rf"pid {pid} .*; a COPY or a dump", h.outcome.waited[0]), h.outcome


def test_no_attempt_is_made_beside_a_dump(held: MakeHeld) -> None:
    """H70: given a pg_dump that has its snapshot and no lock yet. It is named, and ended where that is allowed."""
    h = held(max_attempts=2, lock_timeout_ms=50)
    dump = psycopg.connect(h.database.superuser, application_name="pg_dump")
    try:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        dump.execute("SELECT 1")
        with pytest.raises(LockError, match=rf"pid {dump.info.backend_pid} .*pg_dump.*a COPY or a dump"):
            h.cycle.exchange("cutover")
        assert h.trap() == 0
        dump.rollback()
        assert h.cycle.exchange("cutover").outcome == "committed"
    finally:
        dump.close()


def test_what_remains(held: MakeHeld) -> None:
    """A session in a REPEATABLE READ transaction that shows no COPY yet may copy the table afterwards: docs/limits.md says so.
    `finalize` takes the trap away, whatever snapshot keeps it."""
    h = held()
    h.keeper()
    session = h.connect(h.database.app)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    with h.exchange("cutover"):
        session.execute("SELECT 1")
    assert tried(copy("COPY users TO STDOUT"), session) == 0
    session.execute("ROLLBACK")
    assert h.trap() == 2
    h.cycle.m.finalize()
    assert h.trap() == 0


def test_whatever_comes_next_takes_the_trap_away(held: MakeHeld) -> None:
    """I4, H46: an exchange with `fast`, and `abort`, while a snapshot of before still keeps the trap in place."""
    h = held()
    m, session = h.cycle.m, h.keeper()

    def exchange(kind: str, reads: str | None) -> None:
        m.config = m.config.model_copy(update={"cutover": m.config.cutover.model_copy(update={"reads": reads})})
        h.cycle.exchange(kind)
        h.cycle.caught_up()
        assert h.trap() == (2 if reads != "fast" else 0)

    exchange("cutover", None)
    exchange("revert", "fast")
    exchange("cutover", "exact")
    exchange("revert", "exact")
    assert tried(READERS["plain"], session) == RETRY
    h.keeper()
    exchange("cutover", "exact")
    exchange("revert", "exact")
    h.cycle.abort()


def test_a_dump_of_other_tables_is_not_in_the_way(held: MakeHeld) -> None:
    """I2: a pg_dump locks all its tables before it reads one, and keeps them. One of hours that has locked other tables waits for
    nobody, and no cutover waits for it. The refusal by one that has locked none yet says how to go on without a wait."""
    h = held(max_attempts=1, lock_timeout_ms=50)
    h.look.execute("CREATE TABLE other (); GRANT SELECT ON other TO app")
    dump = psycopg.connect(h.database.app, application_name="pg_dump")
    try:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        dump.execute("SELECT 1")
        with pytest.raises(LockError) as e:
            h.cycle.exchange("cutover")
        assert "Or `swap cutover --reads fast`: it waits for no dump" in e.value.hint
        dump.execute("LOCK TABLE other IN ACCESS SHARE MODE")
        with pytest.raises(LockError, match="a COPY or a dump"):
            h.cycle.exchange("cutover")
        dump.execute("SELECT 1 FROM other")
        assert h.cycle.exchange("cutover").outcome == "committed"
        assert tried(READERS["plain"], dump) == RETRY
    finally:
        dump.close()


def test_the_trap_waits_for_whoever_holds_a_table(held: MakeHeld) -> None:
    """I2: taking the trap away needs the tables for an instant, and nobody has to queue for that behind a long transaction."""
    h = held()
    keeper = h.keeper()
    with h.exchange("cutover", moved=False):
        pass
    reader = h.connect(h.database.app, autocommit=False)
    reader.execute("SELECT 1 FROM users")
    keeper.execute("ROLLBACK")
    h.look.execute("SELECT pg_sleep(1.1)")
    assert re.match(rf"pid {reader.info.backend_pid} .* holds public.users", release_reads(h.cycle.m))
    assert h.trap() == 2
    reader.rollback()
    assert release_reads(h.cycle.m) == ""
    assert h.trap() == 0


def test_a_role_that_sees_no_snapshots(held: MakeHeld) -> None:
    """I13: with `exact` said, `doctor` refuses before anything is built, and the gates, where the right was taken away since. With
    nothing said it is a warning, and the exchange is fast. The statement that is named is followed as it stands."""
    h = held()
    h.look.execute("REVOKE pg_monitor FROM swap_owner")

    def found(**cutover: str) -> list[Finding]:
        return [f for f in doctor(h.database, cutover=cutover) if f.name == "exact-reads"]

    def reads(cutover: str | None) -> None:
        m = h.cycle.m
        m.config = m.config.model_copy(update={"cutover": m.config.cutover.model_copy(update={"reads": cutover})})

    def journalled() -> str:
        row = h.look.execute("SELECT message FROM swap.event WHERE kind = 'reads' ORDER BY id DESC LIMIT 1").fetchone()
        return str(row[0]) if row else ""

    assert [f.status for f in found(reads="exact")] == ["blocker"]
    assert found(reads="fast") == []
    unseen = only(found())
    assert unseen.status == "warning"
    assert "a pg_dump, COPY TO" in unseen.detail
    reads("exact")
    assert "this role may not" in why_closed(h.cycle.m)
    with pytest.raises(RefusedError, match="snapshots of other sessions, and this role may not"):
        h.cycle.exchange("cutover")
    reads(None)
    h.cycle.exchange("cutover")
    keeper = h.keeper()
    assert h.trap() == 0
    assert journalled().startswith("reads across the cutover are fast: this role may not see")
    grant = unseen.hint.partition(";")[0]
    assert grant == "GRANT pg_read_all_stats TO swap_owner"
    h.look.execute(grant.encode())
    try:
        assert [f.status for f in found()] == ["ok"]
        h.cycle.caught_up()
        h.cycle.exchange("revert")
        assert h.trap() == 2
        assert journalled() == "reads across the revert are exact: the role sees other sessions' snapshots"
        assert tried(READERS["plain"], keeper) == RETRY
        h.cycle.caught_up()
        with pytest.raises(RefusedError, match="may not see the snapshots of other sessions any more"), h.exchange("cutover"):
            h.look.execute("REVOKE pg_read_all_stats FROM swap_owner")
        assert h.cycle.m.reload().phase is Phase.SYNCING
    finally:
        h.look.execute("REVOKE pg_read_all_stats FROM swap_owner")
