"""What an application's process runs: requests in threads, counted by step. The standard library alone.

The test speaks to it by lines. On stdin: a word ends a step, an empty stdin ends the process. On stdout: `ready`, and for each
word one JSON object, what happened since the last one.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

Request = Callable[[random.Random], None]


class Tally:
    """Requests, errors by kind, and the longest request, in seconds, since the last look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[int, float] = {}
        self._clear()

    def _clear(self) -> None:
        self._requests, self._longest_s, self._errors = 0, 0.0, Counter[str]()
        self._failing_since: float | None = None
        self._last_failure = 0.0

    def begin(self) -> None:
        with self._lock:
            self._begun[threading.get_ident()] = time.monotonic()

    def end(self, error: str | None) -> None:
        now = time.monotonic()
        with self._lock:
            self._requests += 1
            self._longest_s = max(self._longest_s, now - self._begun.pop(threading.get_ident()))
            if error is not None:
                self._errors[error] += 1
                self._failing_since = self._failing_since or now
                self._last_failure = now

    def take(self) -> dict[str, object]:
        with self._lock:
            failing_s = self._last_failure - self._failing_since if self._failing_since else 0.0
            taken = {
                "requests": self._requests,
                "errors": dict(self._errors),
                "failing_s": round(failing_s, 3),
                "longest_ms": round(self._longest_s * 1000),
            }
            self._clear()
            return taken


def kind(error: BaseException) -> str:
    """The class and the first line: what a reader would look for in the log."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def serve(requests: Sequence[Request], *, workers: int = 3, pause_s: float = 0.02, seed: int = 1) -> None:
    """Run the requests, each thread in an order of its own, until stdin ends."""
    tally, stop = Tally(), threading.Event()

    def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        while not stop.is_set():
            request = chance.choice(requests)
            tally.begin()
            error = None
            try:
                request(chance)
            except Exception as e:  # noqa: BLE001 - whatever a request fails with is counted
                error = f"{request.__name__}: {kind(e)}"
            tally.end(error)
            stop.wait(chance.random() * 2 * pause_s)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    say("ready")
    for _ in sys.stdin:
        say(json.dumps(tally.take()))
    stop.set()
    for thread in threads:
        thread.join()
    say(json.dumps(tally.take()))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
