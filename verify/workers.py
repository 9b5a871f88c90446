"""`jobs` sessions on one exported snapshot, and the tasks that they run. A task that fails gives a reason, never a result.

Every task is a transaction of its own on the shared snapshot. So the ACCESS SHARE lock on a table lasts as long as one
range, and a waiting TRUNCATE or cutover gets through between two ranges.
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

from swap.core.connection import Connection, Database, first_line
from swap.core.errors import SwapError

T = TypeVar("T")
GiveUp = Callable[[], str]  # the reason to end the verification; empty while there is none
POLL_S = 0.25
# `jobs` alone sets how much runs in parallel.
SETTINGS = "SET max_parallel_workers_per_gather = 0; SET work_mem = '64MB'"


@dataclass(frozen=True)
class Task(Generic[T]):
    """`label` names the task in the reason when it does not finish."""

    label: str
    work: Callable[[Connection], T]


class _UnfinishedError(Exception):
    """The task did not finish. The message says why; it is empty when an earlier task failed."""


class _NotStartedError(Exception):
    """The task did not start, because the snapshot is to be given up."""


def never() -> bool:
    return False


def no_reason() -> str:
    """Never give up."""
    return ""


class Workers:
    """The sessions. After the first failure no further task starts: `unfinished` says why, and results stay None.

    `run` asks `give_up` again and again. A reason ends the work at once, and `given_up` keeps it. It asks `adapt` too, if there is one,
    how many sessions may work from now on.
    """

    def __init__(self, database: Database, jobs: int, give_up: GiveUp = no_reason) -> None:
        self.jobs = jobs
        self.unfinished: list[str] = []
        self.given_up = ""
        self._set_snapshot: sql.Composed | None = None
        self.adapt: Callable[[int], int] | None = None
        self._ask = give_up
        self._allowed, self._busy, self._turn = jobs, 0, threading.Condition()
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

    def use_snapshot(self, name: str) -> None:
        """Let every later task read this exported snapshot. Waits for the sessions, which open in the background."""
        try:
            for opening in self._opening:
                opening.result()
        except (SwapError, psycopg.Error) as e:
            self._give_up(f"a worker could not start: {first_line(e)}")
        self._set_snapshot = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End every session. An exception (Ctrl-C) cancels the running queries first."""
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
        """Run the tasks. Returns their results in order, None for a task that did not finish.

        Calls `done` with each result as it comes. Once `until` is true no further task starts; the first `at_least` tasks
        start in any case."""
        futures = [self._pool.submit(self._one, task, until if n >= at_least else never) for n, task in enumerate(tasks)]
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in ended:
                result = self._result(future)
                if result is not None:
                    done(result)
            reason = "" if self._stop.is_set() else self._ask()
            if self.adapt is not None and waiting:
                self._allow(self.adapt(self._allowed))
            if reason:
                self.given_up = reason
                self._give_up(reason)
                self._cancel()
        return [self._result(future) for future in futures]

    def _allow(self, number: int) -> None:
        with self._turn:
            self._allowed = number
            self._turn.notify_all()

    def _result(self, future: Future[T]) -> T | None:
        try:
            return future.result()
        except (CancelledError, _NotStartedError):
            return None
        except _UnfinishedError as e:
            self._give_up(str(e))
            return None

    def _give_up(self, reason: str) -> None:
        self._stop.set()
        self._allow(self.jobs)
        if reason and reason not in self.unfinished:
            self.unfinished.append(reason)

    def _one(self, task: Task[T], until: Callable[[], bool]) -> T:
        with self._turn:
            self._turn.wait_for(lambda: self._busy < self._allowed or self._stop.is_set())
            self._busy += 1
        try:
            return self._in_turn(task, until)
        finally:
            with self._turn:
                self._busy -= 1
                self._turn.notify_all()

    def _in_turn(self, task: Task[T], until: Callable[[], bool]) -> T:
        if self._stop.is_set():
            raise _UnfinishedError("")
        if until():
            raise _NotStartedError
        assert self._set_snapshot is not None
        conn = self._idle.get()
        try:
            with conn.transaction():
                conn.execute(self._set_snapshot)
                return task.work(conn)
        except psycopg.Error as e:
            self._stop.set()  # here: otherwise this thread begins its next task before the main thread knows of the failure
            raise _UnfinishedError(f"{task.label}: {first_line(e)}") from None
        finally:
            self._idle.put(conn)
