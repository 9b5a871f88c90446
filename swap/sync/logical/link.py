"""A replication connection: START_REPLICATION, messages without waiting, status updates.

psycopg has no replication API; libpq has (COPY BOTH), and `psycopg.pq` wraps it. Not thread-safe: one thread owns a link.
"""

from __future__ import annotations

import select
import socket
import time

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from swap.core.connection import Database
from swap.core.errors import UnreachableError
from swap.core.session_settings import SETTINGS
from swap.sync.logical.pgoutput import status

EPOCH_2000_S = 946_684_800
ACTIVE = b"55006"  # object_in_use: the walsender before us has not noticed yet that its client is gone
NAMES = (
    "statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout",
    "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
)  # fmt: skip
OPTIONS = " ".join(f"-c {name}={SETTINGS[name]}" for name in NAMES)


class LinkError(UnreachableError):
    """The stream ended or did not begin. `sqlstate`: the server's, if it named one; `active`: another session reads the slot."""

    def __init__(self, message: str, sqlstate: bytes | None = None) -> None:
        super().__init__(message)
        self.active = sqlstate == ACTIVE


class Link:
    """An open stream from `slot`. Raises LinkError from every method when the stream cannot go on."""

    def __init__(self, database: Database, slot: str, publication: str, lsn: int) -> None:
        self._database = database
        options = conninfo_to_dict(database.conninfo).get("options") or ""
        conninfo = make_conninfo(
            database.conninfo, replication="database", application_name=f"swap {database.command} (stream)",
            options=f"{options} {OPTIONS}".strip(),
        )  # fmt: skip
        self._conn = pq.PGconn.connect(conninfo.encode())
        if self._conn.status != pq.ConnStatus.OK:
            raise self._error()
        if self._conn.server_version >= 170000:  # an older server would refuse it among the options
            self._conn.exec_(b"SET transaction_timeout = 0")
        # The replication grammar is not SQL: a slot's name is an identifier, the options are literals.
        start = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}, messages 'true')").format(
            sql.Identifier(slot), sql.SQL(lsn_text(lsn)), sql.Literal(sql.Identifier(publication).as_string(None))
        )
        result = self._conn.exec_(start.as_bytes(None))
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise self._error(result.error_field(pq.DiagnosticField.SQLSTATE))
        self._conn.nonblocking = 1

    def receive(self) -> bytes | None:
        """The next CopyData message that has arrived, or None."""
        try:
            size, data = self._conn.get_copy_data(1)
        except psycopg.OperationalError:
            raise self._error() from None
        if size > 0:
            return bytes(data)
        if size == 0:
            return None
        raise self._error()

    def wait(self, timeout_s: float, also: socket.socket, nap_s: float = 0.0) -> None:
        """Until data arrives here or on `also`, or the time is over.

        `nap_s`: when there is none yet, wait so long for more to arrive; data on `also` ends the nap.
        """
        here, bell = self._conn.socket, also.fileno()
        if (
            nap_s
            and not select.select([here, bell], [], [], 0)[0]
            and select.select([here, bell], [], [], timeout_s)[0] == [here]
        ):
            select.select([bell], [], [], nap_s)
        elif not nap_s:
            select.select([here, bell], [], [], timeout_s)
        self._consume()

    def confirm(self, lsn: int) -> None:
        """Everything before `lsn` is safe: the server may forget it. Also what keeps the connection alive."""
        clock_us = int((time.time() - EPOCH_2000_S) * 1_000_000)
        try:
            self._conn.put_copy_data(status(lsn, clock_us))
            while self._conn.flush():
                select.select([self._conn.socket], [self._conn.socket], [], 1.0)
                self._consume()
        except psycopg.OperationalError:
            raise self._error() from None

    def _consume(self) -> None:
        try:
            self._conn.consume_input()
        except psycopg.OperationalError:
            raise self._error() from None

    def close(self) -> None:
        self._conn.finish()

    def _error(self, sqlstate: bytes | None = None) -> LinkError:
        lines = self._conn.get_error_message().strip().splitlines() or ["the server ended the stream"]
        text = self._database.scrub(lines[0].removeprefix("ERROR:").strip())
        self._conn.finish()
        return LinkError(f"Reading the replication slot failed: {text}.", sqlstate)


def lsn_text(lsn: int) -> str:
    """As PostgreSQL writes a WAL position."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)
