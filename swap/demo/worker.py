"""One client of the example application: a thread, its connection, its users and its ledger.

An operation is drawn once, and attempted until it is committed. The end of an attempt decides what follows:

- serialization failure, deadlock, cancelled statement: the next attempt;
- an error that shows another shape of the tables: read the shape, next attempt;
- a row that differs from the ledger: in READ COMMITTED it is lost, which is an error. An older snapshot may show a table as it was
  before it was complete (the hazard of a rename): counted, next attempt;
- the connection is lost: reconnect after a pause, next attempt. When it was lost in COMMIT, ask the server first for the outcome of
  the transaction, by its id, which was read before. The answer decides whether it is entered in the ledger.
"""

import contextlib
import os
import random
import socket
import threading
import time
import traceback
from typing import Final

import psycopg
from psycopg import errors, sql
from psycopg.rows import TupleRow

from swap.demo.control import Control
from swap.demo.ledger import Ledger, Serial, Uncertain
from swap.demo.operations import Operation, draw
from swap.demo.shape import SHAPE_ERRORS, Shape, detect
from swap.demo.transaction import ShapeChanged, Transaction, WrongRow

ISOLATION_LEVELS: Final = (
    sql.SQL("READ COMMITTED"),
    sql.SQL("REPEATABLE READ"),
    sql.SQL("SERIALIZABLE"),
)
RETRIED: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.QueryCanceled)
# In an old snapshot the server itself raises errors about rows that the snapshot does not show.
STALE: Final = (WrongRow, errors.IntegrityError, errors.RaiseException)
MOST_ATTEMPTS: Final = 40
# An operation that fails so often goes on in READ COMMITTED, as in an application. That also distinguishes a lost row from a stale one.
LOWERED_AFTER: Final = 15
# Read the shape now and then: a guard trigger that was added makes no statement fail, and should be used.
DETECT_EVERY: Final = 32
SERIALS_PER_OPERATION: Final = 1000
CONNECT_TIMEOUT_S: Final = 2


class Worker:
    def __init__(
        self, conninfo: str, index: int, label: str, seed: int, control: Control, pace_s: float, *, steady: bool = False
    ) -> None:
        self._levels, self._steady = ISOLATION_LEVELS[:2] if steady else ISOLATION_LEVELS, steady
        self.ledger = Ledger()
        self.name = f"w{index}-{label}"
        self.thread = threading.Thread(target=self._run, name=f"load {self.name}", daemon=True)
        self._conninfo, self._index, self._control, self._pace_s = conninfo, index, control, pace_s
        self._rng = random.Random(seed * 1000 + index)
        self._how = random.Random(seed * 1000 + index + 500)
        self._conn: psycopg.Connection[TupleRow] | None = None
        self._shape: Shape | None = None
        self._operations = 0

    def interrupt(self) -> None:
        """Cancel the worker's statement. Another thread calls this."""
        conn = self._conn
        if conn is not None:
            with contextlib.suppress(psycopg.Error):
                conn.cancel_safe(timeout=0.5)

    def disconnect(self) -> None:
        """Cut the worker's connection, when its server does not answer. Another thread calls this."""
        conn = self._conn
        if conn is not None:
            with (
                contextlib.suppress(psycopg.Error, OSError),
                socket.socket(fileno=os.dup(conn.fileno())) as peer,
            ):
                peer.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while self._control.proceed():
                self._perform(draw(self._rng, len(self.ledger.users), len(self.ledger.children)))
                due += self._pace_s
                if due > time.monotonic():
                    self._control.rest(due - time.monotonic())
        except Exception:  # noqa: BLE001 - the end of a thread: the load reports it
            self._control.error(f"{self.name} ended: {traceback.format_exc()}")
        finally:
            if self._conn is not None:
                self._conn.close()
            self._control.left()

    def _perform(self, operation: Operation) -> None:
        """Attempt one operation until it is committed, or turns out to be impossible."""
        self._operations += 1
        if self._operations % DETECT_EVERY == 0:
            self._shape = None
        seed = self._rng.getrandbits(64)
        level = self._levels[(self._index + self._operations) % len(self._levels)]
        failures: list[str] = []
        while self._control.proceed():
            try:
                if self._resolved() or self._attempt(operation, seed, level):
                    return
            except RETRIED as error:
                self._failed("retried", error, failures)
            except (ShapeChanged, *SHAPE_ERRORS) as error:
                self._shape = None
                self._failed("reshaped", error, failures)
            except STALE as error:
                if level is ISOLATION_LEVELS[0]:
                    self._give_up(operation, [*failures, repr(error)])
                    return
                self._failed("stale_reads", error, failures)
            except psycopg.OperationalError as error:
                if self._conn is not None and not self._conn.closed:
                    self._give_up(operation, [*failures, repr(error)])
                    return
                # Without a limit: a server that restarts is no error.
                self._control.count("reconnected", repr(error), self.name)
                self._control.rest(0.2)
                continue
            except psycopg.Error as error:
                self._give_up(operation, [*failures, repr(error)])
                return
            if len(failures) >= MOST_ATTEMPTS:
                self._give_up(operation, failures)
                return
            if len(failures) >= LOWERED_AFTER:
                level = ISOLATION_LEVELS[0]
            self._control.rest(min(0.005 * len(failures), 0.1) * self._how.random())

    def _failed(self, kind: str, error: Exception, failures: list[str]) -> None:
        failures.append(f"{type(error).__name__}: {error}".strip())
        self._control.count(kind, failures[-1], self.name)

    def _give_up(self, operation: Operation, failures: list[str]) -> None:
        """Report the operation as an error, with the errors of its attempts. Not while the load stops, which cancels statements."""
        kinds = list(dict.fromkeys(failures))
        if not self._control.stopping:
            self._control.error(f"{self.name} {operation.__name__}, attempt {len(failures)}: {kinds[-5:]}")

    def _resolved(self) -> bool:
        """Whether the operation was committed although its acknowledgement was lost."""
        uncertain = self.ledger.uncertain
        if uncertain is None:
            return False
        conn = self._connected()
        while (committed := self.ledger.resolve(conn)) is None:
            # Its backend has not noticed yet that the client is gone, or waits for a standby.
            self._control.rest(0.02)
            if self._control.stopping or self._control.paused:
                return False
        if committed:
            self._control.committed(uncertain.changes.writes)
        return committed

    def _attempt(self, operation: Operation, seed: int, level: sql.SQL) -> bool:
        if self.ledger.uncertain is not None:
            return False
        conn = self._connected()
        if self._steady:
            self._shape = None
        else:
            self._current_shape(conn)
        serial = self._operations * SERIALS_PER_OPERATION

        def new_name() -> tuple[Serial, str]:
            nonlocal serial
            serial += 1
            return serial, f"{self.name}-{serial:09}"

        began = time.monotonic()
        try:
            conn.execute(sql.SQL("BEGIN ISOLATION LEVEL {}; SET LOCAL app.service = 'on'").format(level), prepare=False)
            tx = Transaction(conn, self._current_shape(conn), self.ledger, random.Random(seed), self._how, new_name)
            operation(tx)
            self._commit(conn, tx)
        finally:
            if not conn.closed:
                self._control.took(time.monotonic() - began)
                if conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    conn.execute("ROLLBACK")
        return True

    def _commit(self, conn: psycopg.Connection[TupleRow], tx: Transaction) -> None:
        row = conn.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
        xid = None if row is None else row[0]
        try:
            conn.execute("COMMIT")
        except psycopg.Error:
            if conn.closed and xid is not None:
                self.ledger.uncertain = Uncertain(xid, tx.changes)
            raise
        self.ledger.enter(tx.changes)
        self._control.committed(tx.changes.writes)

    def _connected(self) -> psycopg.Connection[TupleRow]:
        if self._conn is None or self._conn.closed:
            self._shape = None
            self._conn = psycopg.connect(
                self._conninfo,
                autocommit=True,
                prepare_threshold=None,  # a prepared statement would stay when the shape changes
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name=f"load {self.name}",
            )
        return self._conn

    def _current_shape(self, conn: psycopg.Connection[TupleRow]) -> Shape:
        if self._shape is None:
            self._shape = detect(conn)
            if self._shape.key.uuid is None:
                self.ledger.forget_uuids()
        return self._shape
