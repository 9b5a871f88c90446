"""The load beside the cycle: the built-in mix by some threads, or a program of the operator's. Every latency is kept, and every
acknowledged write is in a ledger that is compared with the tables at the end.

A statement may meet another shape of the tables than the one that it was made for: the mix is read again then, as an application's
pool would reconnect. Whatever else fails is an error of the report. A commit whose acknowledgement was lost may be there or not.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.plan.model import Plan
from swap.rehearse.ledger import Ledger, LedgerReport, Row, compare_ledgers
from swap.rehearse.mix import Mix, TableMix, marker, mine, read_mix, writable
from swap.rehearse.own_reads import OwnRead, usable
from swap.rehearse.used import Shares

WORKERS = 3
RATE = 90.0  # transactions per second of all workers
HOLD_S = 30.0
MOST_ROWS = 500  # of one worker in one table; with so many it inserts no more
RESHAPED = ("42703", "42804", "42883", "42P01", "22P02", "0A000", "42846", "42P18", "40001", "40P01")


@dataclass
class Worker:
    """One session of the load. Its thread ends when `stop` is set."""

    index: int
    load: Load
    ledger: Ledger = field(default_factory=Ledger)
    conn: Connection | None = None
    number: int = 0
    mix: Mix | None = None
    own: list[OwnRead] = field(default_factory=list)
    own_ever: set[OwnRead] = field(default_factory=set)

    def run(self) -> None:
        dice = random.Random(self.index)  # noqa: S311 - which statement comes next is no secret
        pace_s = WORKERS / RATE
        while not self.load.stopping.is_set():
            began = time.time()
            try:
                with self.load.turn():
                    began = time.time()
                    kind = self._one(dice)
            except psycopg.Error as e:
                self.load.failed(e)
                self.mix = None
                if self.conn is not None and (self.conn.closed or self.conn.broken):
                    self.conn = None
            else:
                self.load.took(kind, began, time.time() - began)
            self.load.stopping.wait(max(0.0, pace_s - (time.time() - began)))
        if self.conn is not None:
            self.conn.close()

    def _one(self, dice: random.Random) -> str:
        if self.conn is None:
            self.conn = self.load.connect()
        if self.mix is None:
            self.mix = read_mix(self.conn, self.load.plan)
            key = self.mix.source.key
            self.own = usable(self.conn, self.load.own_reads, key.type if key else "", self.mix.source.keys)
            self._find_again()
        mix, shares = self.mix, self.load.shares
        chance = dice.random()
        if chance < shares.read or not self.load.able:
            return self._read(dice, mix)
        rows = max(map(len, self.ledger.rows.values()), default=0)
        if not rows or (chance < shares.read + shares.insert and rows < MOST_ROWS):
            return self._insert(dice, mix)
        return self._change(dice, mix, delete=chance > 1 - shares.delete)

    def _find_again(self) -> None:
        """The keys of the worker's rows, in the shape that the tables have now."""
        assert self.mix is not None
        assert self.conn is not None
        for table, rows in self.ledger.rows.items():
            found = {m: k for k, m in self.conn.execute(self.mix.of(table).marked(), {"like": mine(self.load.tag)})}
            for row in rows:
                row.key = found.get(row.marker, row.key)

    def _read(self, dice: random.Random, mix: Mix) -> str:
        assert self.conn is not None
        if self.own and dice.random() < 0.5:
            read = dice.choice(self.own)
            read.run(self.conn, dice, mix.source.keys)
            self.own_ever.add(read)
            return "read"
        readable = [t for t in mix.tables if t.key and t.keys]
        if not readable:
            return "read"
        (t,) = dice.choices(readable, [self.load.shares.weight(t.table.name) for t in readable])
        if t.reference and mix.source.keys and dice.random() < 0.5:
            self.conn.execute(t.by_reference(mix.source), {"key": dice.choice(mix.source.keys)})
        else:
            self.conn.execute(t.read, {"key": dice.choice(t.keys)})
        return "read"

    def _insert(self, dice: random.Random, mix: Mix) -> str:
        """A row of the source with one of each child, in one transaction; where the source's rows cannot be made up, the children
        of a row that is there."""
        assert self.conn is not None
        made: list[tuple[TableName, Row]] = []
        try:
            with self.conn.transaction():
                parent = None
                if mix.source.table in self.load.able:
                    parent = self._row(dice, mix.source, None, "")
                    made.append((mix.source.table, parent))
                for t in mix.children:
                    if t.table in self.load.able and mix.source.keys:
                        under = parent.key if parent else dice.choice(mix.source.keys)
                        made.append((t.table, self._row(dice, t, parent, under)))
        except psycopg.OperationalError:
            self.ledger.doubtful |= {row.marker for _, row in made}
            raise
        for table, row in made:
            self.ledger.rows.setdefault(table, []).append(row)
            if row.parent:
                row.parent.children += 1
        return "insert"

    def _row(self, dice: random.Random, t: TableMix, parent: Row | None, under: str) -> Row:
        assert self.conn is not None
        self.number += 1
        text = marker(self.load.tag, self.index, self.number, 0)
        found = self.conn.execute(t.insert, {"marker": text, "like": dice.choice(t.keys), "parent": under or None}).fetchone()
        if found is None:  # the row that it copies is gone
            raise psycopg.errors.SerializationFailure
        return Row(found[0], text, self.number, 0, parent)

    def _change(self, dice: random.Random, mix: Mix, *, delete: bool) -> str:
        assert self.conn is not None
        table = dice.choice([t for t, rows in self.ledger.rows.items() if rows])
        rows, t = self.ledger.rows[table], mix.of(table)
        row = dice.choice(rows)
        if delete and not row.children:
            self._write(t, row, None)
            rows.remove(row)
            if row.parent:
                row.parent.children -= 1
            return "delete"
        text = marker(self.load.tag, self.index, row.number, row.version + 1)
        self._write(t, row, text)
        row.marker, row.version = text, row.version + 1
        return "update"

    def _write(self, t: TableMix, row: Row, text: str | None) -> None:
        """Raises where the row is not found by its key: the shape has changed under it."""
        assert self.conn is not None
        try:
            with self.conn.transaction():
                done = self.conn.execute(t.delete if text is None else t.update, {"key": row.key, "marker": text})
                if done.rowcount != 1:
                    raise psycopg.errors.SerializationFailure
        except psycopg.OperationalError as e:
            if e.sqlstate != "40001":
                self.ledger.doubtful |= {row.marker, *([text] if text else [])}
            raise


@dataclass
class Load:
    """The built-in mix on the clone. `own_reads`: production's, tried for each shape of the tables."""

    conninfo: str
    plan: Plan
    shares: Shares = field(default_factory=Shares)
    own_reads: Sequence[str] = ()
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    stopping: threading.Event = field(default_factory=threading.Event)
    able: set[TableName] = field(default_factory=set)
    only_read: dict[TableName, str] = field(default_factory=dict)
    latencies: list[tuple[float, float, str]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    workers: list[Worker] = field(default_factory=list)
    held: bool = False
    running: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        """Try which tables can be written, and start the threads."""
        with self.connect() as conn:
            self.able, self.only_read = writable(conn, read_mix(conn, self.plan))
        self.workers = [Worker(n, self) for n in range(WORKERS)]
        self._threads = [threading.Thread(target=w.run, name=f"load {w.index}", daemon=True) for w in self.workers]
        for thread in self._threads:
            thread.start()

    def connect(self) -> Connection:
        """As the application would: with the role's own settings. Its name does not begin with swap: it is nobody's own session."""
        return psycopg.connect(
            self.conninfo, autocommit=True, application_name="rehearsal load", prepare_threshold=None, client_encoding="UTF8"
        )

    def stop(self) -> None:
        """End every worker. One that waits in the server is cancelled."""
        self.stopping.set()
        self.go_on()
        for worker, thread in zip(self.workers, self._threads, strict=True):
            thread.join(2.0)
            if thread.is_alive() and worker.conn is not None:
                with suppress(psycopg.Error):
                    worker.conn.cancel_safe(timeout=2.0)
                thread.join(10.0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One transaction of a worker: not while the load is held."""
        with self._changed:
            self._changed.wait_for(lambda: not self.held or self.stopping.is_set())
            self.running += 1
        try:
            yield
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()

    def hold(self) -> None:
        """Begin no transaction, and wait until none runs; one that waits for somebody else's lock is not waited for without end."""
        with self._changed:
            self.held = True
            self._changed.wait_for(lambda: self.running == 0, HOLD_S)

    def go_on(self) -> None:
        with self._changed:
            self.held = False
            self._changed.notify_all()

    def took(self, kind: str, began: float, seconds: float) -> None:
        with self._changed:
            self.latencies.append((began, seconds * 1000, kind))
            self._changed.notify_all()

    def failed(self, error: psycopg.Error) -> None:
        """A shape that has changed, a deadlock or a timeout is tried again; anything else is an error of the report."""
        text = f"{error.sqlstate or 'no code'}: {error.diag.message_primary or type(error).__name__}"
        again = (error.sqlstate or "40001") in RESHAPED
        with self._changed:
            (self.retried if again else self.errors)[text] += 1
            self._changed.notify_all()

    def wait_for(self, more: int, timeout_s: float) -> None:
        """Until so many more transactions are done, or the time is up."""
        with self._changed:
            goal = len(self.latencies) + more
            reached: Callable[[], bool] = lambda: len(self.latencies) >= goal  # noqa: E731
            self._changed.wait_for(reached, timeout_s)

    def check(self, conn: Connection) -> LedgerReport:
        """Compare the ledger with the tables. The load is stopped."""
        return compare_ledgers(conn, self.plan, self.tag, [w.ledger for w in self.workers])
