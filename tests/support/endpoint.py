"""An endpoint of a webhook: a real HTTP server on this machine that keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from tests.support.waiting import wait_until


class Request(NamedTuple):
    """`document`: its body. `at`: when it came; `code`: what it was answered."""

    document: dict[str, Any]
    text: str
    at: datetime
    code: int


class Endpoint:
    """`answers`: the codes of the next requests; after them 204. 0: it takes the request and never answers."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.always: int | None = None
        self.requests: list[Request] = []
        self._over = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                code = endpoint.answers.pop(0) if endpoint.answers else 204 if endpoint.always is None else endpoint.always
                endpoint.requests.append(Request(json.loads(text), text, datetime.now(UTC), code))
                if not code:
                    endpoint._over.wait()
                    return
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the library calls them so

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-token"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def taken(self) -> list[str]:
        """The events that it took, in order."""
        return [r.document["event"] for r in self.requests if r.code == 204]

    def wait_taken(self, count: int) -> list[str]:
        wait_until(lambda: len(self.taken()) >= count, what=f"{count} events were taken")
        return self.taken()

    def close(self) -> None:
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()
