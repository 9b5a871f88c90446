"""A server that speaks just enough of PostgreSQL's protocol: any version it likes, and silence where it likes.

PostgreSQL documentation, 54.2 "Message Flow".
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

from tests.support.proxy import NEGOTIATION, _exactly, _message, _packed

Silence = Literal["at once", "after authentication", "after the connection"]


class Pretender:
    """Listens on a loopback port. `asked`: the messages that it was sent after a connection was made. It answers none of them."""

    def __init__(self, silence: Silence, version: str = "18.1") -> None:
        self.silence, self.version = silence, version
        self.asked: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets: list[socket.socket] = []
        self.thread = threading.Thread(target=self._accept, daemon=True, name="pretender")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for s in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.thread.join()

    def conninfo(self, timeout_s: int = 2) -> str:
        port = self.listener.getsockname()[1]
        return f"host=127.0.0.1 port={port} user=u dbname=d sslmode=disable gssencmode=disable connect_timeout={timeout_s}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(client)
            with contextlib.suppress(OSError, EOFError):
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        if self.silence == "at once":
            _exactly(client, 1 << 30)  # until the client gives up
        while True:
            (length,) = struct.unpack("!I", _exactly(client, 4))
            if struct.unpack("!I", _exactly(client, length - 4)[:4])[0] not in NEGOTIATION:
                break
            client.sendall(b"N")
        client.sendall(_packed(b"R", struct.pack("!I", 0)))
        if self.silence == "after the connection":
            told = {"server_version": self.version, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
            client.sendall(b"".join(_packed(b"S", f"{k}\0{v}\0".encode()) for k, v in told.items()))
            client.sendall(_packed(b"K", struct.pack("!II", 1, 1)) + _packed(b"Z", b"I"))
        while True:
            kind, body = _message(client)
            if kind != b"X":
                self.asked.append(body)
