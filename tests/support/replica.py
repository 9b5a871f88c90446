"""A streaming replica as its walsender sees it: real replication protocol, and a replay position that the test chooses.

PostgreSQL documentation, 55.4 "Streaming Replication Protocol".
"""

from __future__ import annotations

import struct
import time
from typing import Self

from psycopg import pq
from psycopg.conninfo import make_conninfo


class Replica:
    """`name`: its application_name. It says that it has replayed `position`, and reads nothing."""

    def __init__(self, superuser: str, name: str) -> None:
        self._conn = pq.PGconn.connect(make_conninfo(superuser, replication="database", application_name=name).encode())
        assert self._conn.status == pq.ConnStatus.OK, self._conn.error_message
        self.position = self.now()
        done = self._conn.exec_(f"START_REPLICATION PHYSICAL {self.position >> 32:X}/{self.position & 0xFFFFFFFF:X}".encode())
        assert done.status == pq.ExecStatus.COPY_BOTH, done.error_message

    def now(self) -> int:
        """Where the WAL is."""
        value = self._conn.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
        assert value is not None
        high, low = value.decode().split("/")
        return (int(high, 16) << 32) + int(low, 16)

    def replayed(self, position: int | None = None) -> None:
        """A standby status update."""
        self.position = position or self.position
        at = int((time.time() - 946_684_800) * 1_000_000)
        message = struct.pack("!cQQQQB", b"r", self.position, self.position, self.position, at, 0)
        self._conn.put_copy_data(message)
        self._conn.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._conn.finish()
