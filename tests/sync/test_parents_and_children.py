"""Parents and children in concurrent transactions, before the cutover and after it: none of ten thousand children ends wrong (I3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from time import sleep

import psycopg
import pytest
from psycopg import errors

from tests.support.migration import Session, Synced
from tests.support.pairs import REFERENCES, SCHEMA, RebuiltSide, Side, committed, run
from tests.support.servers import Connect, Database

EACH = 5_000  # children with a foreign key before the cutover, and after it
REFUSED = (errors.ForeignKeyViolation, errors.SerializationFailure)
WRITERS = [
    ("sessions", "READ COMMITTED"),
    ("sessions", "REPEATABLE READ"),
    ("audit", "READ COMMITTED"),
    ("audit", "SERIALIZABLE"),
]


class Load:
    """One session writes parents, and commits each a moment later. The others write children of the newest one until they are
    accepted."""

    def __init__(self, side: Side, dsn: str, first: int) -> None:
        self.side, self.dsn, self.numbers = side, dsn, count(first)
        self.newest, self.retried = first, 0
        self.children = {table: 0 for table, _ in WRITERS}
        self.lock, self.stop = threading.Lock(), threading.Event()

    def run(self) -> None:
        with ThreadPoolExecutor(len(WRITERS) + 1) as pool:
            done = [pool.submit(self._writing, self._parents)]
            done += [pool.submit(self._writing, partial(self._child, table, isolation)) for table, isolation in WRITERS]
            for future in done:
                future.result()

    def _writing(self, write: Callable[[Session], None]) -> None:
        try:
            with closing(psycopg.connect(self.dsn, autocommit=True)) as conn:
                while not self.stop.is_set():
                    write(conn)
        finally:
            self.stop.set()

    def _parents(self, conn: Session) -> None:
        n = next(self.numbers)
        run(conn, f"BEGIN; {self.side.born(n)}")
        self.newest = n
        sleep(0.001)
        run(conn, "COMMIT")
        sleep(0.002)

    def _child(self, table: str, isolation: str, conn: Session) -> None:
        n = self.newest
        while not self.stop.is_set():
            try:
                run(conn, f"BEGIN ISOLATION LEVEL {isolation}; {self.side.child(n, table=table)}; COMMIT")
            except REFUSED:
                run(conn, "ROLLBACK")
                self.retried += 1
                continue
            with self.lock:
                self.children[table] += 1
                if self.children["sessions"] >= EACH:
                    self.stop.set()
            return


@contextmanager
def replaying(side: Side) -> Iterator[None]:
    """`sync` at work beside the writers."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            side.m.drain()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
            future.result()


REBUILT = [{"table": "public.audit", "column": "actor_id", "strategy": "table"}]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("made", "reference"), [(Side, REFERENCES), (RebuiltSide, REBUILT)], ids=["in place", "rebuilt"])
def test_no_child_ends_wrong(
    synced: Synced, database: Database, connect: Connect, made: type[Side], reference: list[dict[str, str]]
) -> None:
    """Given the load of above, then each child is that of its parent on both sides; and so it is after an exchange in either
    direction. No child is lost."""
    m = synced(database, SCHEMA, reference=reference)
    side = made(m, True, connect(database.app), lambda: connect(database.app), connect(database.owner))
    side.verified()
    written = dict.fromkeys(("sessions", "audit"), 0)
    for first, kind in ((1_000, "cutover"), (500_000, "revert")):
        load = Load(side, database.app, first)
        with replaying(side):
            load.run()
        assert load.children["sessions"] >= EACH
        assert load.retried  # the children did come before their parents
        side.right()
        committed(m.exchange(kind))
        side = made(m, not side.ahead, side.app, side.connect, side.look)
        assert side.wrong() == []
        for table, number in load.children.items():
            written[table] += number
            assert side.look.execute(f"SELECT count(*) FROM {table} WHERE note = 'x'".encode()).fetchone() == (written[table],)
    side.right()
