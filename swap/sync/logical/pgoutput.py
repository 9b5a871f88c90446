"""Decoder of pgoutput, protocol version 1: bytes in, messages out. It holds no connection and no state.

PostgreSQL documentation, "Logical Replication Message Formats" and "Streaming Replication Protocol"
(src/backend/replication/logical/proto.c). Transactions arrive whole, in the order of their commits: streaming of
transactions in progress (version 2) and two-phase decoding (version 3) are not asked for, so their messages are refused
like any other unknown one. Values are asked for as text; only the key's are ever looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from swap.core.errors import DefectError

KEY_COLUMN = 1
_begin = struct.Struct("!QqI").unpack_from
_commit = struct.Struct("!BQQq").unpack_from
_uint = struct.Struct("!I").unpack_from
_int = struct.Struct("!i").unpack_from
_short = struct.Struct("!H").unpack_from
_long = struct.Struct("!Q").unpack_from
_wal_data = struct.Struct("!QQq").unpack_from
_keepalive = struct.Struct("!QqB").unpack_from
_status = struct.Struct("!cQQQqB").pack

Row = tuple[bytes | None, ...]  # None: NULL, or a TOASTed value that did not change


class Begin(NamedTuple):
    """`xid`: 32 bits of the transaction's id."""

    final_lsn: int
    xid: int


class Commit(NamedTuple):
    """`end_lsn`: where the commit record ends; everything that committed before it has been sent."""

    end_lsn: int


class Relation(NamedTuple):
    """The table as the changes that follow see it. `columns`: the published ones."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[str, ...]


class Insert(NamedTuple):
    oid: int
    new: Row


class Update(NamedTuple):
    """`old`: the replica identity before the change, or None when it stayed the same."""

    oid: int
    old: Row | None
    new: Row


class Delete(NamedTuple):
    oid: int
    old: Row


class Truncate(NamedTuple):
    oids: tuple[int, ...]


class LogicalMessage(NamedTuple):
    """pg_logical_emit_message. `lsn`: where it was written."""

    transactional: bool
    lsn: int
    prefix: str
    content: bytes


class Other(NamedTuple):
    """Type and Origin: nothing that a change of a key needs."""

    kind: str


class WalData(NamedTuple):
    message: bytes


class Keepalive(NamedTuple):
    """`end_lsn`: everything up to here has been decoded, and sent if it was to be."""

    end_lsn: int
    reply: bool


Change = Begin | Commit | Relation | Insert | Update | Delete | Truncate | LogicalMessage | Other


def unwrap(data: bytes) -> WalData | Keepalive:
    """A CopyData message of the walsender."""
    kind = data[:1]
    if kind == b"w":
        return WalData(data[1 + 24 :])
    if kind == b"k":
        end, _, reply = _keepalive(data, 1)
        return Keepalive(end, bool(reply))
    raise DefectError(f"The server sent a replication message of an unknown kind: {kind!r}.")


def status(lsn: int, clock_us: int, *, reply: bool = False) -> bytes:
    """A standby status update: everything before `lsn` is safe here. `clock_us`: microseconds since 2000-01-01."""
    return _status(b"r", lsn, lsn, lsn, clock_us, reply)


def decode(data: bytes) -> Change:
    """One pgoutput message. Raises DefectError for a message that was not asked for."""
    kind = data[0]
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise DefectError(f"The server sent a pgoutput message that was not asked for: {chr(kind)!r}.")
    return decoder(data)


def _decode_begin(data: bytes) -> Begin:
    final, _, xid = _begin(data, 1)
    return Begin(final, xid)


def _decode_commit(data: bytes) -> Commit:
    return Commit(_commit(data, 1)[2])


def _decode_relation(data: bytes) -> Relation:
    oid = _uint(data, 1)[0]
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    identity = chr(data[at])
    count = _short(data, at + 1)[0]
    at += 3
    columns = []
    for _ in range(count):
        column, at = _text(data, at + 1)
        columns.append(column)
        at += 8
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def _decode_insert(data: bytes) -> Insert:
    row, _ = _row(data, 6)
    return Insert(_uint(data, 1)[0], row)


def _decode_update(data: bytes) -> Update:
    old, at = None, 5
    if data[at] in b"KO":
        old, at = _row(data, at + 1)
    new, _ = _row(data, at + 1)
    return Update(_uint(data, 1)[0], old, new)


def _decode_delete(data: bytes) -> Delete:
    row, _ = _row(data, 6)
    return Delete(_uint(data, 1)[0], row)


def _decode_truncate(data: bytes) -> Truncate:
    count = _uint(data, 1)[0]
    return Truncate(struct.unpack_from(f"!{count}I", data, 6))


def _decode_message(data: bytes) -> LogicalMessage:
    lsn = _long(data, 2)[0]
    prefix, at = _text(data, 10)
    length = _uint(data, at)[0]
    return LogicalMessage(bool(data[1] & 1), lsn, prefix, data[at + 4 : at + 4 + length])


def _decode_other(data: bytes) -> Other:
    return Other(chr(data[0]))


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def _row(data: bytes, at: int) -> tuple[Row, int]:
    count = _short(data, at)[0]
    at += 2
    values: list[bytes | None] = []
    for _ in range(count):
        kind = data[at]
        if kind in b"tb":
            length = _int(data, at + 1)[0]
            values.append(data[at + 5 : at + 5 + length])
            at += 5 + length
        else:
            values.append(None)
            at += 1
    return tuple(values), at


_DECODERS: dict[int, Callable[[bytes], Change]] = {
    ord("B"): _decode_begin,
    ord("C"): _decode_commit,
    ord("R"): _decode_relation,
    ord("I"): _decode_insert,
    ord("U"): _decode_update,
    ord("D"): _decode_delete,
    ord("T"): _decode_truncate,
    ord("M"): _decode_message,
    ord("Y"): _decode_other,
    ord("O"): _decode_other,
}
