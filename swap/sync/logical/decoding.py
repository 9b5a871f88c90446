"""From the messages of a walsender to entries of the change tables: bytes in, COPY text out. It holds no connection.

The cost of a captured change is the work done here for each of them. Where a table's key is one column, it is the only one in the
publication. So a row's key is the end of its message, and its entry is those bytes and the transaction's tail. Any other message,
and a key whose text COPY would read differently, goes through `pgoutput.decode`. (Measured a change, by `decode` alone and the direct way: 2.6 and 0.65 us in
transactions of 100, 6.4 and 1.9 us in transactions of one.)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from swap.core.errors import DefectError
from swap.sync.logical.pgoutput import (
    Delete,
    Insert,
    Keepalive,
    LogicalMessage,
    Relation,
    Row,
    Truncate,
    Update,
    decode,
    unwrap,
)
from swap.sync.logical.position import full_xid

BARRIER = "swap"  # prefix of the logical messages that barriers are
NUDGE = "swap, no barrier"
WAL_DATA, BEGIN, COMMIT, INSERT, UPDATE, DELETE, TUPLE, TEXT = b"wBCIUDNt"
# A CopyData message 'w': its kind, 24 bytes of header, the message's kind, the rest of it.
KIND = 25
_xid = struct.Struct("!16xI").unpack_from  # behind B: final LSN, time
_end_lsn = struct.Struct("!x8xQ").unpack_from  # behind C: flags, the commit's LSN
OID = slice(26, 30)
WHOSE, VALUE, KEY = 30, 33, 38  # of a row of one column: N, K or O; t or n; the text
NULL = b"\\N"
NO_UUID = b"\t\\N\n"


@dataclass(frozen=True)
class Captured:
    """A swapped table in the stream. `keys`: the columns of its key, by the names of before the cutover and of after it; the first
    that the server sends are meant. `uuid`: of the source, what its uuid is called after the cutover. `plain`: the text of a key
    never has a character that COPY takes for something else."""

    number: int
    keys: tuple[tuple[str, ...], ...]
    uuid: str | None
    plain: bool


@dataclass(frozen=True)
class _Published:
    """A table as a Relation message describes it. `key`, `uuid`: places in its rows. `rows`: where its entries go."""

    rows: dict[bytes, None]
    source: bool
    key: tuple[int, ...]
    uuid: int | None
    plain: bool


class Decoder:
    """The entries since the last `take`. `sent`: the server has decoded everything up to this WAL position; `reached`: every
    transaction that committed before this position is complete here.

    `rows` are the entries of each swapped table as COPY text, each once: a row that its transaction changed often is one entry.
    An entry is the key, `gone` and `origin`; one of the source has the uuid besides. `urgent`: a barrier has been passed.
    """

    def __init__(self, tables: Mapping[tuple[str, str], Captured]) -> None:
        self._tables = tables
        self.rows: dict[int, dict[bytes, None]] = {t.number: {} for t in tables.values()}
        self.near_xid = 0
        self.begin()

    def begin(self) -> None:
        """A new stream, from its beginning."""
        self._published: dict[int, _Published] = {}
        self._single: dict[bytes, _Published] = {}
        for rows in self.rows.values():
            rows.clear()
        self._origin = b""
        self._stays = self._goes = (b"", b"")
        self._in_transaction = False
        self._barrier = self.urgent = False
        self.reached = self.sent = 0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return sum(map(len, self.rows.values()))

    def take(self) -> tuple[dict[int, bytes], int]:
        """The entries of each table as COPY text, and how many there are in all."""
        taken, count = {number: b"".join(rows) for number, rows in self.rows.items() if rows}, self.count
        for rows in self.rows.values():
            rows.clear()
        self.urgent = False
        return taken, count

    def feed(self, data: bytes) -> bool:
        """One CopyData message. True when the server wants an answer. Raises DefectError for a message that is not foreseen."""
        if data[0] != WAL_DATA:
            return self._unwrapped(data)
        kind = data[KIND]
        if kind in (UPDATE, INSERT):
            if data[WHOSE] == TUPLE and (table := self._single.get(data[OID])) is not None and data[VALUE] == TEXT:
                table.rows[data[KEY:] + self._stays[table.source]] = None
                return False
        elif kind == BEGIN:
            self._origin = origin = b"%d\n" % full_xid(_xid(data, KIND + 1)[0], self.near_xid)
            of_source = origin[:-1] + NO_UUID
            self._stays, self._goes = (b"\tf\t" + origin, b"\tf\t" + of_source), (b"\tt\t" + origin, b"\tt\t" + of_source)
            self._in_transaction = True
            return False
        elif kind == COMMIT:
            self.reached = _end_lsn(data, KIND + 1)[0]
            self._in_transaction = False
            self.urgent, self._barrier = self.urgent or self._barrier, False
            return False
        elif kind == DELETE and (table := self._single.get(data[OID])) is not None and data[VALUE] == TEXT:
            table.rows[data[KEY:] + self._goes[table.source]] = None
            return False
        self._change(data[KIND:])
        return False

    def _unwrapped(self, data: bytes) -> bool:
        m = unwrap(data)
        assert isinstance(m, Keepalive)
        self.sent = max(self.sent, m.end_lsn)
        if not self._in_transaction:
            self.reached = max(self.reached, m.end_lsn)
        return m.reply

    def _change(self, data: bytes) -> None:
        m = decode(data)
        match m:
            case Insert():
                self._note(self._published[m.oid], m.new, gone=False)
            case Update():
                table = self._published[m.oid]
                if m.old is not None and self._moved(table, m.old, m.new):
                    self._note(table, m.old, gone=True)
                self._note(table, m.new, gone=False)
            case Delete():
                self._note(self._published[m.oid], m.old, gone=True)
            case Truncate():
                for oid in m.oids:
                    self._note(self._published[oid], None, gone=True)
            case Relation():
                self._describe(m)
            case LogicalMessage():
                self._barrier = self._barrier or m.prefix == BARRIER
            case _:
                pass

    def _describe(self, m: Relation) -> None:
        table = self._tables.get((m.schema, m.name))
        names = next((k for k in table.keys if {*k} <= {*m.columns}), None) if table else None
        if table is None or names is None:
            raise DefectError(f"The stream has a table that is not captured, or not its key: {m.schema}.{m.name}.")
        uuid = m.columns.index(table.uuid) if table.uuid and table.uuid not in names and table.uuid in m.columns else None
        key = tuple(map(m.columns.index, names))
        published = _Published(self.rows[table.number], table.number == 0, key, uuid, table.plain)
        self._published[m.oid] = published
        oid = m.oid.to_bytes(4, "big")
        if table.plain and len(m.columns) == 1:
            self._single[oid] = published
        else:
            self._single.pop(oid, None)

    def _moved(self, table: _Published, old: Row, new: Row) -> bool:
        """Whether the key changed, or the uuid of a row of the source."""
        if self._columns(table, old) != self._columns(table, new):
            return True
        return table.uuid is not None and old[table.uuid] is not None and old[table.uuid] != new[table.uuid]

    def _columns(self, table: _Published, row: Row) -> bytes:
        """The key as columns of COPY."""
        values = [row[n] for n in table.key]
        if None in values:
            raise DefectError("A change was decoded without its key: another session changed the replica identity.")
        return b"\t".join(v if table.plain else escaped(v) for v in values if v is not None)

    def _note(self, table: _Published, row: Row | None, *, gone: bool) -> None:
        """`row` None: a TRUNCATE. A DELETE may come without the uuid: it is not in every replica identity."""
        key = b"\t".join([NULL] * len(table.key)) if row is None else self._columns(table, row)
        tail = (self._goes if gone else self._stays)[table.source]
        uuid = row[table.uuid] if row is not None and table.uuid is not None else None
        if uuid:
            tail = tail[: -len(NO_UUID)] + b"\t" + uuid + b"\n"
        table.rows[key + tail] = None


def escaped(text: bytes) -> bytes:
    """`text` as a column of COPY's text format."""
    for character, written in ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r")):
        text = text.replace(character, written)
    return text
