"""Pauses the application's poolers around one attempt: its clients wait, and none of them meets an error (H39).

When PAUSE has succeeded, the transactions under way have ended: none holds a lock, reads with a snapshot of before, or knows
the old types. After RESUME every server connection is a new one, without a plan of before. The pause is part of the attempt,
as the lock is. If it is not reached within `pause_timeout_ms`, it is lifted, the attempt has failed, and the next one
follows. Every end of the attempt lifts the pause; so does the watchdog (`cutover.pause_watchdog`) when this process is gone or hangs.

Only a pool that leads to the run's own server and database is paused. It is asked before each PAUSE: a pooler may be reconfigured
between two attempts, and the configuration of production may be used on a clone of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cutover.pause_watchdog import PauseWatchdog
from swap.core.errors import RefusedError, UnreachableError
from swap.core.pgbouncer import ELSEWHERE_HINT, Console, UnansweredError, by_hand
from swap.state.migration import Migration

LEFT_OVER_S = 5.0  # how long a pause that is found may be the watchdog's to lift: that of a command killed just now
PATIENCE_S = 10.0
SLACK_S = 5.0


class NotPausedError(Exception):
    """The pause was not reached within its time, and was lifted. `pids`: the server's processes that it waited for."""

    def __init__(self, message: str, pids: list[int]) -> None:
        super().__init__(message)
        self.pids = pids


class Pooler:
    """Every PgBouncer of the configuration. Without one, everything here does nothing. Used as a context."""

    def __init__(self, migration: Migration) -> None:
        config, self.report = migration.config, migration.report
        self._migration = migration
        self.names = tuple(config.pgbouncer.databases or [migration.conn.info.dbname])
        self.consoles = [Console(dsn) for dsn in config.pgbouncer.admin_dsn]
        self.timeout_s = config.pgbouncer.pause_timeout_ms / 1000
        cut = config.cutover
        self.limit_s = self.timeout_s + (cut.lock_timeout_ms + cut.max_lock_hold_ms) / 1000 + SLACK_S
        self.paused_ms: float | None = None
        self.failure: UnreachableError | None = None
        self._unanswered = False
        self._watchdog = PauseWatchdog(config.pgbouncer.admin_dsn, self.names) if self.consoles else None

    def __enter__(self) -> Pooler:
        try:
            try:
                self.check()
            except UnansweredError as e:
                raise RefusedError(f"{e}.", hint="Is its pool full, or its server down? Then run it again.") from None
            if self._watchdog:
                self._watchdog.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self.failure is not None:
            self.report.note(f"{self.failure.message} {by_hand(self.names[0])}")
        self.close()

    def close(self) -> None:
        if self._watchdog:
            self._watchdog.close()
        for console in self.consoles:
            console.close()

    def check(self) -> None:
        """Every console answers, has the databases, none is paused already, and each leads to the run's server and database.

        Raises UnreachableError, RefusedError, UnansweredError; then nothing was changed.
        """
        deadline = time.monotonic() + LEFT_OVER_S
        for console in self.consoles:
            while True:
                found = {p.name: p for p in console.pools()}
                held = [n for n in self.names if n in found and found[n].paused]
                if not held or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            for name in self.names:
                if name not in found:
                    listed = ", ".join(found) or "none"
                    hint = f"Name those of this application in [pgbouncer] databases. There are: {listed}."
                    raise RefusedError(f"{console.label} has no database {name}.", hint=hint)
            if held:
                message = f"{console.label}: {held[0]} is paused already, and its clients are waiting."
                raise RefusedError(message, hint=f"{by_hand(held[0])} Then run it again.")
            for name in self.names:
                if elsewhere := console.leads_elsewhere(name, self._migration.conn):
                    raise RefusedError(f"{console.label}: {name} leads to {elsewhere}; it is not paused.", hint=ELSEWHERE_HINT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The pause, for the block. Raises NotPausedError, RefusedError, UnreachableError; it was lifted then, unless
        `failure` says otherwise.

        Never raises at the end of the block, because the exchange may have been committed in it. A console that did not
        resume is in `failure`, for `finish`.
        """
        if self._watchdog is None:
            yield
            return
        try:
            self.check()
        except UnansweredError as e:
            raise NotPausedError(str(e), []) from None
        renew = False
        began = time.monotonic()
        self._watchdog.arm(self.limit_s)
        try:
            self._pause(began + self.timeout_s)
            renew = True
            yield
        finally:
            self._lift(renew=renew)
            self.paused_ms = (time.monotonic() - began) * 1000
            if self.failure is None:
                self._watchdog.disarm()

    def finish(self, said: str) -> None:
        """At the end: no database is paused. Raises UnreachableError, with `said` as the state; the watchdog goes on trying."""
        if self._unanswered or self.failure:  # a PAUSE that RESUME overtook, on another connection
            self._lift(renew=False)
        if self.failure is not None:
            raise UnreachableError(self.failure.message, state=said, hint=by_hand(self.names[0]))

    def _pause(self, deadline: float) -> None:
        for console in self.consoles:
            for name in self.names:
                if console.pause(name, max(0.0, deadline - time.monotonic())):
                    continue
                self._unanswered = True
                pids = console.busy(name)
                still = "a transaction goes on" if pids else "it did not answer"
                raise NotPausedError(
                    f"{console.label}: {name} was not paused within {self.timeout_s * 1000:.0f} ms: {still}", pids
                )

    def _lift(self, *, renew: bool) -> None:
        self.failure = None
        for console in self.consoles:
            try:
                console.lift(self.names, renew=renew, patience_s=PATIENCE_S)
            except UnreachableError as e:
                self.failure = e
