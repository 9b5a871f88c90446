"""The decoder against bytes that a PostgreSQL 18 server sent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from swap.core.errors import DefectError
from swap.sync.logical.decoding import Captured, Decoder
from swap.sync.logical.link import lsn_number, lsn_text
from swap.sync.logical.pgoutput import (
    Begin,
    Change,
    Commit,
    Delete,
    Insert,
    Keepalive,
    LogicalMessage,
    Other,
    Relation,
    Truncate,
    Update,
    WalData,
    decode,
    status,
    unwrap,
)
from swap.sync.logical.position import full_xid

SENT: list[tuple[bytes, Change]] = [
    (b"B\x00\x00\x00\x00\x01s\x95\xb8\x00\x03\x03\xe5\xees'\x88\x00\x00\x02\xf1", Begin(24352184, 753)),
    (b"R\x00\x00@\x00public\x00t\x00d\x00\x01\x01id\x00\x00\x00\x00\x14\xff\xff\xff\xff", Relation(16384, "public", "t", "d", ("id",))),
    (
        b"R\x00\x00@\x08public\x00f\x00f\x00\x02\x01id\x00\x00\x00\x00\x14\xff\xff\xff\xff\x01v\x00\x00\x00\x00\x19\xff\xff\xff\xff",
        Relation(16392, "public", "f", "f", ("id", "v")),
    ),
    (b"I\x00\x00@\x00N\x00\x01t\x00\x00\x00\x02-5", Insert(16384, (b"-5",))),
    (b"I\x00\x00@\x08N\x00\x02t\x00\x00\x00\x011n", Insert(16392, (b"1", None))),
    (b"U\x00\x00@\x00N\x00\x01t\x00\x00\x00\x011", Update(16384, None, (b"1",))),
    (b"U\x00\x00@\x00K\x00\x01t\x00\x00\x00\x011N\x00\x01t\x00\x00\x00\x012", Update(16384, (b"1",), (b"2",))),
    (b"U\x00\x00@\x08O\x00\x02t\x00\x00\x00\x011nN\x00\x02t\x00\x00\x00\x011t\x00\x00\x00\x01q", Update(16392, (b"1", None), (b"1", b"q"))),
    (b"U\x00\x00@\x08N\x00\x02t\x00\x00\x00\x011u", Update(16392, None, (b"1", None))),
    (b"D\x00\x00@\x00K\x00\x01t\x00\x00\x00\x012", Delete(16384, (b"2",))),
    (b"D\x00\x00@\x08O\x00\x02t\x00\x00\x00\x011t\x00\x00\x00\x01q", Delete(16392, (b"1", b"q"))),
    (b"T\x00\x00\x00\x02\x00\x00\x00@\x00\x00\x00@\x08", Truncate((16384, 16392))),
    (b"M\x01\x00\x00\x00\x00\x01s\xb3\x90swap\x00\x00\x00\x00\x05hello", LogicalMessage(True, 24359824, "swap", b"hello")),
    (b"M\x00\x00\x00\x00\x00\x01s\xb4\x00swap\x00\x00\x00\x00\x03non", LogicalMessage(False, 24359936, "swap", b"non")),
    (b"Y\x00\x00@\x11public\x00mood\x00", Other("Y")),
    (b"C\x00\x00\x00\x00\x00\x01s\x95\xb8\x00\x00\x00\x00\x01s\x95\xe8\x00\x03\x03\xe5\xees'\x88", Commit(24352232)),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), SENT, ids=[f"{type(m).__name__}-{n}" for n, (_, m) in enumerate(SENT)])
def test_every_message_is_decoded(data: bytes, message: Change) -> None:
    assert decode(data) == message


def envelope(message: bytes) -> bytes:
    return b"w" + bytes(24) + message


USERS = Captured(0, (("legacy_id",), ("id",)), uuid="id", plain=True)
TABLES = {("public", "t"): USERS, ("public", "f"): Captured(1, (("id",),), None, plain=True)}


def decoder_of(*messages: bytes, tables: Mapping[tuple[str, str], Captured] = TABLES) -> Decoder:
    decoder = Decoder(tables)
    decoder.near_xid = 753
    for message in messages:
        assert decoder.feed(envelope(message)) is False
    return decoder


def test_messages_become_entries() -> None:
    """Each change of a captured table is an entry of its transaction; once each; a barrier is urgent."""
    begin, table, full, commit = SENT[0][0], SENT[1][0], SENT[2][0], SENT[-1][0]
    changes = [data for data, m in SENT if isinstance(m, Insert | Update | Delete)]
    decoder = decoder_of(begin, table, full, *changes, changes[0], SENT[11][0])
    assert (decoder.reached, decoder.urgent) == (0, False)
    assert decoder.feed(b"k" + (99).to_bytes(8, "big") + bytes(8) + b"\x01") is True
    assert (decoder.reached, decoder.sent) == (0, 99)  # the transaction is not complete
    decoder.feed(envelope(SENT[12][0]))
    decoder.feed(envelope(commit))
    assert (decoder.reached, decoder.urgent) == (24352232, True)
    assert decoder.count == 9
    taken, count = decoder.take()
    assert sorted(taken[0].decode().splitlines()) == sorted(
        e.replace(" ", "\t") + "\t753\t\\N" for e in ("-5 f", "1 f", "1 t", "2 f", "2 t", "\\N t")
    )
    assert sorted(taken[1].decode().splitlines()) == sorted(e.replace(" ", "\t") + "\t753" for e in ("1 f", "1 t", "\\N t"))
    assert count == 9
    assert (decoder.take(), decoder.urgent) == (({}, 0), False)


def relation(oid: int, name: bytes, *columns: bytes) -> bytes:
    described = b"".join(b"\x01" + c + b"\x00" + bytes(3) + b"\x14\xff\xff\xff\xff" for c in columns)
    return b"R" + oid.to_bytes(4, "big") + b"public\x00" + name + b"\x00d" + len(columns).to_bytes(2, "big") + described


def row(*values: bytes) -> bytes:
    return len(values).to_bytes(2, "big") + b"".join(b"t" + len(v).to_bytes(4, "big") + v for v in values)


def test_a_row_of_the_source_brings_its_uuid() -> None:
    """After the cutover both keys are published. Where the uuid of a row changes, its old pair is an entry of a row that went."""
    oid = (7).to_bytes(4, "big")
    decoder = decoder_of(
        SENT[0][0],
        relation(7, b"t", b"id", b"legacy_id"),
        b"I" + oid + b"N" + row(b"u1", b"1"),
        b"U" + oid + b"K" + row(b"u1", b"1") + b"N" + row(b"u2", b"1"),
        b"D" + oid + b"K" + row(b"u2", b"1"),
    )
    taken, _ = decoder.take()
    assert taken[0].splitlines() == [b"1\tf\t753\tu1", b"1\tt\t753\tu1", b"1\tf\t753\tu2", b"1\tt\t753\tu2"]


def test_keys_of_several_columns_and_of_any_text() -> None:
    """COPY must read a key as the application wrote it, whatever characters it has."""
    tables = {
        ("public", "t"): USERS,
        ("public", "p"): Captured(2, (("slug",),), None, plain=False),
        ("public", "m"): Captured(3, (("org", "name"),), None, plain=False),
    }
    p, m = (8).to_bytes(4, "big"), (9).to_bytes(4, "big")
    decoder = decoder_of(
        SENT[0][0], relation(8, b"p", b"slug"), relation(9, b"m", b"name", b"org"),
        b"I" + p + b"N" + row(b"a\\b\tc\nd\re"), b"D" + p + b"K" + row(b"\\N"), b"I" + m + b"N" + row(b"x\ty", b"1"),
        b"T" + (1).to_bytes(4, "big") + b"\x00" + m, tables=tables,
    )  # fmt: skip
    taken, _ = decoder.take()
    assert taken[2].split(b"\n") == [b"a\\\\b\\tc\\nd\\re\tf\t753", b"\\\\N\tt\t753", b""]
    assert taken[3].splitlines() == [b"1\tx\\ty\tf\t753", b"\\N\t\\N\tt\t753"]


def test_a_change_without_its_key_is_a_defect() -> None:
    """A replica identity that somebody changed; whichever way the message is read."""
    for table, change in ((SENT[1][0], b"D\x00\x00@\x00K\x00\x01n"), (SENT[2][0], b"D\x00\x00@\x08K\x00\x02nt\x00\x00\x00\x01q")):
        decoder = decoder_of(SENT[0][0], table)
        with pytest.raises(DefectError, match="without its key"):
            decoder.feed(envelope(change))


def test_a_table_that_is_not_captured_is_a_defect() -> None:
    """Somebody added it to the publication, or took the key out."""
    for told in (relation(7, b"other", b"id"), relation(7, b"t", b"name")):
        with pytest.raises(DefectError, match="not captured, or not its key"):
            decoder_of(told)


def test_what_was_not_asked_for_is_refused() -> None:
    """Streaming of transactions in progress and two-phase decoding have messages of their own."""
    for kind in b"SEcApPKr":
        with pytest.raises(DefectError, match="not asked for"):
            decode(bytes([kind]) + bytes(20))


def test_envelopes() -> None:
    assert unwrap(b"w" + bytes(24) + b"C...") == WalData(b"C...")
    assert unwrap(b"k" + (5).to_bytes(8, "big") + bytes(8) + b"\x01") == Keepalive(5, reply=True)
    with pytest.raises(DefectError):
        unwrap(b"x")
    sent = status(7, 8)
    assert (sent[:1], len(sent)) == (b"r", 34)
    assert [int.from_bytes(sent[i : i + 8], "big") for i in (1, 9, 17, 25)] == [7, 7, 7, 8]


def test_positions_are_written_as_the_server_does() -> None:
    for text in ("0/0", "0/1739448", "16/B374D848", "FFFFFFFF/FFFFFFFF"):
        assert lsn_text(lsn_number(text)) == text


@pytest.mark.parametrize(
    ("xid", "near", "full"),
    [
        (753, 760, 753),
        (760, 753, 760),  # `near` may be old
        (0xFFFFFFF0, 0x1_0000_0005, 0xFFFFFFF0),  # begun before the lower half began again
        (3, 0xFFFFFFF0, 0x1_0000_0003),
        (0x7000_0000, 0x5_7000_0000, 0x5_7000_0000),
        (3, 0x5_0000_0003, 0x5_0000_0003),
    ],
)
def test_the_upper_half_of_a_transaction_id(xid: int, near: int, full: int) -> None:
    assert full_xid(xid, near) == full
