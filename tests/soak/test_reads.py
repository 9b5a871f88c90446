"""`make soak`: readers of every kind begin around cutovers and reverts, under load. Each result is of one moment, or is an error (H70).
A copy without a plan that began right before a COMMIT may be wrong, and is named.

Writers note each change in two tables in one transaction: in the source, and in one that no run touches, which tells what the
reader's snapshot shows. So a read of both with one snapshot finds the same in both, or it is wrong.

READS_EXCHANGES (default 200: 100 cutovers and 100 reverts) says how many, for each way of reading.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from statistics import median

import psycopg
import pytest

from tests.support.cycling import Cycle, Start
from tests.support.migration import ROLES, Session
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.standby import standby_of
from tests.support.told import Tell
from tests.support.waiting import wait_until

EXCHANGES = int(os.environ.get("READS_EXCHANGES", "200"))
WRITERS = 2
BEGIN_EVERY_S = 0.05
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, note text);
CREATE TABLE moments (writer int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO users (email) SELECT 'w' || w || ':0' FROM generate_series(0, 1) w;
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 500) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
INSERT INTO moments SELECT w, 0 FROM generate_series(0, 1) w;
CREATE FUNCTION seen() RETURNS text LANGUAGE plpgsql STABLE AS
    $$ DECLARE t text; BEGIN SELECT string_agg(email, ' ' ORDER BY email) INTO t FROM users WHERE email LIKE 'w%'; RETURN t; END $$;
CREATE FUNCTION in_both() RETURNS text LANGUAGE plpgsql AS $$ DECLARE t text; BEGIN
    SELECT (SELECT string_agg('w' || writer || ':' || n, ' ' ORDER BY writer) FROM moments) || '|'
        || (SELECT string_agg(email, ' ' ORDER BY email) FROM users WHERE email LIKE 'w%') INTO t; RETURN t; END $$;
"""
MOMENTS = "SELECT string_agg('w' || writer || ':' || n, ' ' ORDER BY writer) FROM moments"
USERS = "SELECT string_agg(email, ' ' ORDER BY email) FROM users WHERE email LIKE 'w%'"
BOTH = f"SELECT ({MOMENTS}) || '|' || ({USERS})"
Pair = tuple[str, str]


def one(session: Session, text: str) -> str:
    row = session.execute(text.encode()).fetchone()
    assert row is not None
    return str(row[0])


def split(text: str) -> Pair:
    moments, _, users = text.partition("|")
    return moments, users


def pause(rng: random.Random) -> None:
    time.sleep(rng.uniform(0, 2 * BEGIN_EVERY_S))


@contextmanager
def snapshot(session: Session, level: str = "REPEATABLE READ") -> Iterator[None]:
    session.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    try:
        yield
    finally:
        if not session.closed:
            session.execute("ROLLBACK")


def copied(session: Session, table: str) -> str:
    with session.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows:
        return b"".join(map(bytes, rows)).decode()


def of_users(text: str) -> str:
    """What the writers have noted in lines of the table, whatever its columns."""
    return " ".join(sorted(f for line in text.splitlines() for f in line.split("\t") if f.startswith("w") and ":" in f))


def of_moments(text: str) -> str:
    return " ".join(sorted("w{}:{}".format(*line.split("\t")) for line in text.splitlines() if line[:1].isdigit()))


class Readers:
    """One function for each kind; each returns what it saw of both tables."""

    def __init__(self, server: DatabaseServer, db: Database) -> None:
        self.server, self.db = server, db

    def repeatable(self, session: Session, rng: random.Random) -> Pair:
        with snapshot(session):
            moments = one(session, MOMENTS)
            pause(rng)
            return moments, one(session, USERS)

    def serializable(self, session: Session, rng: random.Random) -> Pair:
        with snapshot(session, "SERIALIZABLE"):
            moments = one(session, MOMENTS)
            pause(rng)
            return moments, one(session, USERS)

    def plain(self, session: Session, rng: random.Random) -> Pair:
        return split(one(session, BOTH))

    def volatile(self, session: Session, rng: random.Random) -> Pair:
        return split(one(session, "SELECT in_both()"))

    def stable(self, session: Session, rng: random.Random) -> Pair:
        return split(one(session, f"SELECT ({MOMENTS}) || '|' || seen() FROM pg_sleep(0.05)"))

    def prepared(self, session: Session, rng: random.Random) -> Pair:
        with snapshot(session):
            row = session.execute(MOMENTS.encode(), prepare=True).fetchone()
            assert row is not None
            pause(rng)
            found = session.execute(USERS.encode(), prepare=True).fetchone()
            assert found is not None
            return str(row[0]), str(found[0])

    def cursor(self, session: Session, rng: random.Random) -> Pair:
        with snapshot(session):
            moments = one(session, MOMENTS)
            pause(rng)
            session.execute(f"DECLARE look CURSOR FOR {USERS}".encode())
            pause(rng)
            return moments, one(session, "FETCH look")

    def with_hold(self, session: Session, rng: random.Random) -> Pair:
        session.execute(f"DECLARE kept CURSOR WITH HOLD FOR {BOTH}".encode())
        pause(rng)
        try:
            return split(one(session, "FETCH kept"))
        finally:
            session.execute("CLOSE kept")

    def copy(self, session: Session, rng: random.Random) -> Pair:
        """As a dump of one's own does it: one table after another in one snapshot."""
        with snapshot(session):
            moments = of_moments(copied(session, "moments"))
            pause(rng)
            return moments, of_users(copied(session, "users"))

    def copy_query(self, session: Session, rng: random.Random) -> Pair:
        return split(copied(session, f"({BOTH})").strip())

    def dump(self, session: Session, rng: random.Random) -> Pair:
        command: list[str | Path] = [
            self.server.bindir / "pg_dump",
            "--data-only",
            "-t",
            "public.users",
            "-t",
            "public.moments",
            "-d",
            self.db.superuser,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise psycopg.errors.ExternalRoutineException("pg_dump failed")
        _, users = done.stdout.split("COPY public.users", 1)
        return of_moments(done.stdout.split("COPY public.moments", 1)[1].split("\\.", 1)[0].partition("\n")[2]), of_users(
            users.split("\\.", 1)[0]
        )

    def initial_copy(self, session: Session, rng: random.Random) -> Pair:
        """As the worker of a subscription copies a table: in the snapshot of its slot."""
        with closing(psycopg.connect(self.db.superuser, replication="database", autocommit=True)) as walsender:
            pg = walsender.pgconn

            def run(text: str) -> str:
                result = pg.exec_(text.encode())
                if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                    raise psycopg.errors.lookup((result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"XX000").decode())(
                        text
                    )
                out = b""
                while result.status == psycopg.pq.ExecStatus.COPY_OUT:
                    size, data = pg.get_copy_data(0)
                    if size == -1:
                        break
                    out += bytes(data)
                while pg.get_result():
                    pass
                return out.decode()

            run("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")
            name = f"look_{os.getpid()}_{rng.randrange(1 << 30)}"
            run(f"CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput USE_SNAPSHOT")
            moments = of_moments(run("COPY moments TO STDOUT"))
            pause(rng)
            users = of_users(run("COPY users TO STDOUT"))
            run("COMMIT")
            return moments, users


ALWAYS = ("repeatable", "serializable", "plain", "volatile", "stable", "prepared", "cursor", "with_hold", "copy_query")
SELDOM = ("copy", "dump", "initial_copy")  # an attempt is not made beside one of these


class Around:
    """Readers that begin every 50 ms, and writers, until the end of the block."""

    def __init__(self, readers: Readers, seed: str) -> None:
        self.readers, self.seed = readers, seed
        self.counts: dict[str, Counter[str]] = {}
        self.wrong: list[str] = []
        self.copies: list[str] = []  # wrong, too: without a plan, in the moment before a COMMIT
        self.stop = threading.Event()

    @contextmanager
    def running(self, standby: str | None) -> Iterator[None]:
        db = self.readers.db
        work = [threading.Thread(target=self._write, args=(w,)) for w in range(WRITERS)]
        for name in (*ALWAYS, *SELDOM):
            every_s = BEGIN_EVERY_S if name in ALWAYS else 20 * BEGIN_EVERY_S
            read: Callable[[Session, random.Random], Pair] = getattr(self.readers, name)
            work.append(
                threading.Thread(target=self._read, args=(name, read, db.app if name != "copy" else db.superuser, every_s))
            )
        if standby is not None:
            work.append(
                threading.Thread(target=self._read, args=("on a standby", self.readers.repeatable, standby, BEGIN_EVERY_S))
            )
        for thread in work:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in work:
                thread.join()

    def _write(self, writer: int) -> None:
        with closing(psycopg.connect(self.readers.db.app, autocommit=True)) as session:
            n = 0
            while not self.stop.wait(0.01):
                n += 1
                with session.transaction():
                    session.execute("UPDATE moments SET n = %s WHERE writer = %s", [n, writer])
                    session.execute("UPDATE users SET email = %s WHERE email LIKE %s", [f"w{writer}:{n}", f"w{writer}:%"])

    def _read(self, name: str, read: Callable[[Session, random.Random], Pair], conninfo: str, every_s: float) -> None:
        rng, counts = random.Random(f"{self.seed} {name}"), self.counts.setdefault(name, Counter())
        with ExitStack() as stack:
            session: Session | None = None
            while not self.stop.wait(rng.uniform(0, 2 * every_s)):
                try:
                    if session is None or session.closed:
                        session = stack.enter_context(closing(psycopg.connect(conninfo, autocommit=True)))
                    moments, users = read(session, rng)
                except psycopg.Error as e:
                    counts[e.sqlstate or type(e).__name__] += 1
                    with suppress(psycopg.Error):
                        assert session is not None
                        session.rollback()
                    continue
                counts["right" if moments == users else "WRONG"] += 1
                if moments != users:
                    wrong = self.wrong if name not in SELDOM else self.copies
                    wrong.append(f"{name}: the snapshot shows {moments}, the table {users}")


@pytest.mark.soak
@pytest.mark.both_modes
@pytest.mark.timeout(0)
@pytest.mark.parametrize("reads", ["exact", "fast"])
def test_readers_around_exchanges(
    start: Start, server: DatabaseServer, database: Database, connect: Connect, reads: str, tell: Tell
) -> None:
    admin = connect(database.superuser)
    admin.execute(ROLES)
    admin.execute("GRANT pg_monitor TO swap_owner")
    cycle: Cycle = start(SCHEMA, cutover={"reads": reads, "max_attempts": 200, "lock_timeout_ms": 500})
    cycle.m.synced()
    standby = standby_of(server)
    around, attempts, locked_ms = Around(Readers(server, database), reads), Counter[int](), list[float]()
    try:
        there = standby.conninfo(database.dbname)
        wait_until(lambda: _answers(there), what="the standby answers")
        with around.running(there):
            for n in range(EXCHANGES):
                cycle.caught_up()
                outcome = cycle.exchange("revert" if n % 2 else "cutover")
                attempts[outcome.attempts] += 1
                locked_ms.append(outcome.locked_ms)
    finally:
        standby.stop()
        admin.execute("REVOKE pg_monitor FROM swap_owner")
    named = cycle.m.conn.execute("SELECT count(*) FROM swap.event WHERE kind = 'unplanned'").fetchall()[0][0]
    counts = "; ".join(f"{name} {dict(sorted(c.items()))}" for name, c in around.counts.items())
    tell(
        f"reads = {reads}: {EXCHANGES} exchanges, attempts {dict(sorted(attempts.items()))},"
        f" writes held {median(locked_ms):.0f} ms (median), {named} copies named; {counts}"
    )
    if reads == "exact":
        assert around.wrong == []
        assert len(around.copies) <= named, around.copies


def _answers(conninfo: str) -> bool:
    try:
        with closing(psycopg.connect(conninfo)) as conn:
            return conn.execute("SELECT to_regclass('users') IS NOT NULL").fetchone() == (True,)
    except psycopg.Error:
        return False
