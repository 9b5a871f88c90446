"""The example application under load, whatever the shape of its tables is, and while they change.

Use:

    with Load(app_conninfo, workers=4) as load:
        load.wait_for(200, timeout=30)
        ...                                # migrate
        report = check(owner_conninfo, load)
"""

import contextlib
import secrets
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import psycopg

from swap.demo.check import LedgerReport, check
from swap.demo.control import Control, LoadStats
from swap.demo.ledger import Ledger
from swap.demo.seeded import Seeded, summarize
from swap.demo.worker import Worker

__all__ = ["LedgerReport", "Load", "LoadStats", "Visible", "check", "visible_to_app"]

STOP_PATIENCE_S = 0.5


class Load:
    """Threads that act as the application, as the role `app`, which is subject to row security.

    `rate`: transactions per second of all workers together; None: as fast as possible. Each Load has users of its own, so several
    can run one after another, or at once, in one database.

    `steady`: each transaction reads the shape of the tables itself, and none is SERIALIZABLE. Alone in its database it meets no
    error, so other sessions cause each error that it meets.
    """

    def __init__(
        self, conninfo_app: str, *, workers: int = 4, seed: int = 1, rate: float | None = None, steady: bool = False
    ) -> None:
        self.label = secrets.token_hex(4)
        self.seeded: Seeded | None = None
        self._conninfo = conninfo_app
        self._control = Control()
        pace_s = 0.0 if rate is None else workers / rate
        self._workers = [
            Worker(conninfo_app, index, self.label, seed, self._control, pace_s, steady=steady) for index in range(workers)
        ]

    def start(self) -> Self:
        """Take a checksum of the rows that exist, which must not change, and start the workers."""
        with psycopg.connect(self._conninfo) as conn:
            conn.execute("SET LOCAL app.service = 'on'")
            self.seeded = summarize(conn)
        for worker in self._workers:
            self._control.entered()
            worker.thread.start()
        return self

    def stop(self) -> LoadStats:
        """End every worker after its transaction. Interrupts one that waits for a lock or a server."""
        self._control.stop()
        for urge in (None, Worker.interrupt, Worker.disconnect):
            alive = [worker for worker in self._workers if worker.thread.is_alive()]
            deadline = time.monotonic() + STOP_PATIENCE_S
            for worker in alive:
                if urge is not None:
                    urge(worker)
            for worker in alive:
                worker.thread.join(max(0.0, deadline - time.monotonic()))
        for worker in self._workers:
            if worker.thread.is_alive():
                worker.thread.join()
        return self.stats()

    def pause(self, timeout: float = 60) -> None:
        """Let every worker finish its transaction and wait. When this returns, no transaction of the load is open. Raises
        TimeoutError."""
        self._control.pause(timeout)

    def resume(self) -> None:
        self._control.resume()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Pause the load during the block, and then restore its state."""
        before = self._control.paused
        self.pause()
        try:
            yield
        finally:
            if not before:
                self.resume()

    def stats(self) -> LoadStats:
        return self._control.stats()

    def take_longest_s(self) -> float:
        """The longest attempt of a transaction since the last call, in seconds."""
        return self._control.take_longest_s()

    def wait_for(self, n_more_transactions: int, timeout: float = 60) -> None:
        """Wait until so many more transactions are acknowledged. Raises TimeoutError, with the reason why they are not."""
        self._control.await_transactions(n_more_transactions, timeout)

    @property
    def ledgers(self) -> list[Ledger]:
        """Read them only while the load is paused or stopped."""
        return [worker.ledger for worker in self._workers]

    @property
    def names(self) -> list[str]:
        """The prefix of each worker's rows, in the order of `ledgers`."""
        return [worker.name for worker in self._workers]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Visible(NamedTuple):
    """The rows that a user of the application may see, by names that do not depend on the shape of the tables."""

    emails: tuple[str, ...]
    session_tokens: tuple[str, ...]


def visible_to_app(conninfo_app: str, legacy_user_id: int) -> Visible:
    """The rows that row security shows to the application when it works for the user with this integer key."""
    with psycopg.connect(conninfo_app) as conn:
        conn.execute("SELECT set_config('app.current_user_id', %s, true)", (str(legacy_user_id),))
        emails = conn.execute("SELECT email FROM public.users ORDER BY email").fetchall()
        tokens = conn.execute("SELECT token FROM public.sessions ORDER BY token").fetchall()
    return Visible(tuple(email for (email,) in emails), tuple(token for (token,) in tokens))
