"""A webhook: JSON documents are sent to one address, one after another, by a thread of its own.

It is never in the way: `send` only puts a document into a queue, `hold` begins no request until `go_on`, and no failure is raised.
What is not delivered is told at the end of the process, which waits for it at most FINISH_S.

HTTPS, its certificates and the proxies of the environment (https_proxy, no_proxy) are the standard library's. A redirect is a
failure: the library would turn the POST into a GET without its body.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

import swap
from swap.core.web_address import host_of

REQUEST_S = 5.0  # for the connection, and for each answer of the other end
ATTEMPTS = 6
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
FINISH_S = 5.0
KEPT = 100  # documents that wait at most
LATER = (408, 425, 429)  # answers of 4xx after which the same request may succeed


opened: list[Webhook] = []
"""Those of this process, which waits for them at its end (`finish_all`)."""


def finish_all(wait_s: float = FINISH_S) -> int:
    """Deliver what waits. Returns how many documents were not delivered."""
    return sum(w.finish(wait_s) for w in opened)


class _NotDeliveredError(Exception):
    """Try again: the other end was not reached, or failed."""


class _RefusedError(Exception):
    """Do not try again: the other end does not take it."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """None: `http_error_default` raises HTTPError."""


class Webhook:
    """`tell` is called from the thread for each document that was given up, with a text that holds no secret."""

    def __init__(self, url: str, tell: Callable[[str], None]) -> None:
        self._url, self._tell = url, tell
        self._waiting: queue.Queue[dict[str, object] | None] = queue.Queue(KEPT)
        self._free, self._ended = threading.Event(), threading.Event()
        self._free.set()
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._thread: threading.Thread | None = None
        self.undelivered = 0

    def send(self, document: dict[str, object]) -> None:
        """Queue it; returns at once. A queue that is full drops it, and counts it."""
        try:
            self._waiting.put_nowait(document)
        except queue.Full:
            self.undelivered += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
            self._thread.start()

    def hold(self) -> None:
        """Begin no request until `go_on`. One under way ends by itself: it only waits for the other end."""
        self._free.clear()

    def go_on(self) -> None:
        self._free.set()

    def finish(self, wait_s: float = FINISH_S) -> int:
        """Deliver what waits, for at most `wait_s` seconds. Returns how many documents were not delivered."""
        self.go_on()
        if self._thread is None:
            return self.undelivered
        deadline = time.monotonic() + wait_s
        try:
            self._waiting.put(None, timeout=wait_s)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        except (queue.Full, KeyboardInterrupt):
            pass
        self._ended.set()  # ends the pause between two attempts
        return self.undelivered + (self._waiting.qsize() if self._thread.is_alive() else 0)

    def _run(self) -> None:
        while (document := self._waiting.get()) is not None:
            try:
                self._deliver(document)
            except (RetryError, _RefusedError) as e:
                self.undelivered += 1
                why = e.last_attempt.exception() if isinstance(e, RetryError) else e
                self._tell(f"the webhook at {host_of(self._url)} did not take {document.get('event')}: {why}")

    def _deliver(self, document: dict[str, object]) -> None:
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(self._ended),
            wait=wait_random_exponential(multiplier=PAUSE_S, max=LONGEST_PAUSE_S),
            retry=retry_if_exception_type(_NotDeliveredError),
            sleep=sleep_using_event(self._ended),
        )
        attempts(self._post, json.dumps(document).encode())

    def _post(self, body: bytes) -> None:
        self._free.wait()
        headers = {"Content-Type": "application/json", "User-Agent": f"swap/{swap.__version__}"}
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")  # noqa: S310 - `check_url`
        try:
            with self._opener.open(request, timeout=REQUEST_S):
                pass
        except urllib.error.HTTPError as e:
            e.close()
            said = f"it answered {e.code}"
            raise (_NotDeliveredError(said) if e.code >= 500 or e.code in LATER else _RefusedError(said)) from None
        except (OSError, http.client.HTTPException, ValueError) as e:
            reason = getattr(e, "reason", None) or getattr(e, "strerror", None) or type(e).__name__
            why = getattr(reason, "strerror", None) or reason
            raise _NotDeliveredError(str(why)) from None
