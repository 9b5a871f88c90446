"""`jobs` sessions on one exported snapshot, and the tasks they run. What fails is a reason, never a result.

Every task is a transaction of its own on the shared snapshot, so a table's ACCESS SHARE lock lasts as long as one
range: a waiting TRUNCATE or cutover gets through between two of them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

import psycopg
from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.errors import SwapError

T = TypeVar("T")
# Parallelism is `jobs`.
POLL_S = 0.25
SETTINGS = "SET max_parallel_workers_per_gather = 0; SET work_mem = '64MB'"


@dataclass(frozen=True)
class Task(Generic[T]):
    """`what` names it in the reason when it does not finish."""

    what: str
    work: Callable[[Connection], T]


class _UnfinishedError(Exception):
    """A task that did not finish, and why."""


class _LateError(Exception):
    """A task that was not started, because the snapshot is to be given up."""


def never() -> bool:
    return False


def no_reason() -> str:
    return ""


class Workers:
    """The sessions. After the first failure nothing more is started: `unfinished` says why, and results stay None.

    `give_up` is asked all the while: a reason ends the work at once.
    """

    def __init__(self, database: Database, jobs: int, give_up: Callable[[], str] = no_reason) -> None:
        self.jobs = jobs
        self.unfinished: list[str] = []
        self.given_up = ""
        self._set: sql.Composed | None = None
        self._ask = give_up
        self._stop = threading.Event()
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._all: list[Connection] = []
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="verify")
        self._opening = [self._pool.submit(self._add, database, f"worker {n}") for n in range(1, jobs + 1)]

    def _add(self, database: Database, name: str) -> None:
        conn = database.connect(name)
        self._all.append(conn)
        conn.execute(SETTINGS)
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        self._idle.put(conn)

    def use(self, snapshot: str) -> None:
        """Every task from now on reads this exported snapshot. Waits for the sessions, which open by themselves."""
        try:
            for opening in self._opening:
                opening.result()
        except (SwapError, psycopg.Error) as e:
            self._give_up(f"a worker could not start: {_first_line(e)}")
        self._set = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing outlives this: running queries are cancelled when an exception (Ctrl-C) ends the run."""
        self._stop.set()
        if error is not None:
            self._cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for conn in self._all:
            conn.close()

    def _cancel(self) -> None:
        for conn in self._all:
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=5)

    def run(
        self,
        tasks: Sequence[Task[T]],
        done: Callable[[T], None] = lambda _: None,
        until: Callable[[], bool] = never,
        at_least: int = 1,
    ) -> list[T | None]:
        """The tasks' results in order; None for what did not finish. `done` is called as results come. When `until` says
        so no further task is started, but always the first `at_least`."""
        futures = [self._pool.submit(self._one, task, until if n >= at_least else never) for n, task in enumerate(tasks)]
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in ended:
                result = self._result(future)
                if result is not None:
                    done(result)
            reason = "" if self._stop.is_set() else self._ask()
            if reason:
                self.given_up = reason
                self._give_up(reason)
                self._cancel()
        return [self._result(future) for future in futures]

    def _result(self, future: Future[T]) -> T | None:
        try:
            return future.result()
        except (CancelledError, _LateError):
            return None
        except _UnfinishedError as e:
            self._give_up(str(e))
            return None

    def _give_up(self, reason: str) -> None:
        self._stop.set()
        if reason and reason not in self.unfinished:
            self.unfinished.append(reason)

    def _one(self, task: Task[T], until: Callable[[], bool]) -> T:
        if self._stop.is_set():
            raise _UnfinishedError("")
        if until():
            raise _LateError
        assert self._set is not None
        conn = self._idle.get()
        try:
            with conn.transaction():
                conn.execute(self._set)
                return task.work(conn)
        except psycopg.Error as e:
            self._stop.set()  # here, so that this thread does not begin the next task before the failure is heard of
            raise _UnfinishedError(f"{task.what}: {_first_line(e)}") from None
        finally:
            self._idle.put(conn)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
