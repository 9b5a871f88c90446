"""A TCP proxy before the server that knows the wire protocol's message boundaries, and cuts a connection at its COMMIT.

PostgreSQL documentation, 54.7 "Message Formats": after the start-up packet each message is a type byte and a length.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import urlsplit

import pytest

from tests.support.servers import DatabaseServer

Cut = Literal["before", "after"]
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
NEGOTIATION = (80877103, 80877104)  # SSLRequest, GSSENCRequest: sent before the start-up packet


# A session that goes on under another name.
RENAMED = re.compile(rb"set_config\('application_name', '([^']*)'")


class Proxy:
    """Listens on a loopback port. `cut`: when the next session of `application` ends a transaction in which it sent
    `marker` with COMMIT, its connection is reset before the server has seen it (`before`), or when the server has answered and the client has not (`after`).
    `meanwhile` runs between the two ends."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.address: str | None = None  # where connections to the server come from
        self.upstream: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.cut: Cut | None = None
        self.application, self.marker = b"swap cutover", b'LOCK TABLE "public"."users"'
        self.meanwhile: Callable[[], None] = lambda: None
        self.cuts = 0
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def close(self) -> None:
        for s in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def silence(self) -> None:
        """As if the clients' machine were gone: what the server sends is not received any more, not even acknowledged (a
        packet filter of the socket's own drops it before TCP sees it), and nothing is sent."""
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0 bytes
        for s in self.upstream:
            s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, source_address=(self.address, 0) if self.address else None)
            except OSError:
                client.close()
                continue
            for s in (client, server):  # message by message, Nagle's algorithm would hold each for the last one's ACK
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [client, server]
            self.upstream.append(server)
            threading.Thread(target=self._serve, args=(client, server), daemon=True, name="proxied").start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client, server:
            matches, marked = self._start(client, server), False
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            while True:
                kind, body = _message(client)
                if renamed := RENAMED.search(body):
                    matches = renamed[1] == self.application
                commits = kind == b"Q" and body.rstrip(b"\0").upper() == b"COMMIT"
                if matches and self.cut and marked and commits:
                    cut, self.cut = self.cut, None
                    self.cuts += 1
                    _reset(client)  # nothing of the answer gets through
                    if cut == "after":
                        server.sendall(_packed(kind, body))
                        back.join()  # until the server has answered
                    else:
                        server.shutdown(socket.SHUT_RDWR)  # close() alone sends nothing while `back` reads
                    self.meanwhile()
                    return
                marked = not commits and (marked or self.marker in body)
                server.sendall(_packed(kind, body))

    def _start(self, client: socket.socket, server: socket.socket) -> bool:
        """The start-up packet, which says whose session it is."""
        while True:
            (length,) = struct.unpack("!I", _exactly(client, 4))
            body = _exactly(client, length - 4)
            if struct.unpack("!I", body[:4])[0] in NEGOTIATION:
                client.sendall(b"N")
                continue
            server.sendall(struct.pack("!I", length) + body)
            return b"application_name\0" + self.application + b"\0" in body

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        """The server's messages; where the client is gone, until the answer to its COMMIT is complete."""
        gone = False
        with contextlib.suppress(OSError, EOFError):
            while True:
                kind, body = _message(server)
                try:
                    client.sendall(_packed(kind, body))
                except OSError:
                    gone = True
                if gone and kind == b"Z":
                    return
        if not gone:  # the server ended it
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _message(sock: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(sock, 1)
    (length,) = struct.unpack("!I", _exactly(sock, 4))
    return kind, _exactly(sock, length - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _reset(sock: socket.socket) -> None:
    """The client sees its connection reset, now."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(server: DatabaseServer) -> Iterator[Proxy]:
    parts = urlsplit(server.conninfo())
    made = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    yield made
    made.close()
