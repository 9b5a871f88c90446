"""Asks in a thread what may hang (a URL, a command, a query), so that `sync` goes on hearing pause, handover and signals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg

from swap.core.connection import Connection, Database, first_line
from swap.core.errors import SwapError
from swap.core.throttle_settings import Throttle
from swap.sync.throttle.outside import disk_reason, query_reason, url_reason

EVERY_S = 1.0
STALE_S = 15.0  # more than any of them may take
ASKED = ("query", "query_max", "url", "min_free_disk_bytes", "free_disk_command")
UNKNOWN = "the throttles are asked for the first time"


def asked_beside(limits: Throttle) -> Throttle | None:
    """The part of the settings that this module asks about; None: nothing."""
    if limits.query is None and limits.url is None and limits.min_free_disk_bytes is None:
        return None
    return Throttle.model_construct(**{name: getattr(limits, name) for name in ASKED})


class Beside:
    """One thread and, where a question needs one, one session. `limits` gives the settings as they are now."""

    def __init__(self, database: Database, limits: Callable[[], Throttle]) -> None:
        self.database, self.limits = database, limits
        self._answer: tuple[float, Throttle, tuple[str, ...]] | None = None
        self._end = threading.Event()
        self._look_now = threading.Event()
        self._thread: threading.Thread | None = None
        self._conn: Connection | None = None

    def reasons(self) -> tuple[str, ...]:
        """The last answers. A reason to wait as well: there is none yet for these settings, or none came for STALE_S."""
        limits = asked_beside(self.limits())
        if limits is None:
            return ()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="throttle", daemon=True)
            self._thread.start()
        answer = self._answer
        if answer is None or answer[1] != limits:
            self._look_now.set()
            return (UNKNOWN,)
        late_s = time.monotonic() - answer[0]
        return answer[2] if late_s < STALE_S else (f"what the throttles ask has not answered for {late_s:.0f} s",)

    def close(self) -> None:
        self._end.set()
        self._look_now.set()
        if self._thread is not None:
            self._thread.join(STALE_S)

    def _run(self) -> None:
        while not self._end.is_set():
            self._look_now.clear()
            limits = asked_beside(self.limits())
            if limits is not None:
                found = tuple(r for r in self._ask(limits) if r)
                self._answer = time.monotonic(), limits, found
            self._look_now.wait(EVERY_S)
        if self._conn is not None:
            self._conn.close()

    def _ask(self, limits: Throttle) -> Iterator[str]:
        if limits.url is not None:
            yield url_reason(limits.url)
        try:
            if limits.query is not None:
                yield query_reason(self._session(), limits.query, limits.query_max)
            if limits.min_free_disk_bytes is not None:
                yield disk_reason(self._session(), limits.free_disk_command, limits.min_free_disk_bytes)
        except (SwapError, psycopg.Error) as e:  # the session of `sync` itself reports a lost server
            with suppress(psycopg.Error):
                if self._conn is not None:
                    self._conn.close()
            yield f"the throttles could not ask the server: {e.message if isinstance(e, SwapError) else first_line(e)}"

    def _session(self) -> Connection:
        if self._conn is None or self._conn.closed:
            self._conn = self.database.connect("throttle")
        return self._conn
