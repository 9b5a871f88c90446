"""The decoder against bytes that a PostgreSQL 18 server sent."""

from __future__ import annotations

import pytest

from swap.core.errors import DefectError
from swap.sync.logical.decoding import Decoder
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


def test_messages_become_entries() -> None:
    """Each change of a table whose key alone is published is an entry of its transaction; once each; a barrier is urgent."""
    decoder = Decoder(("legacy_id", "id"))
    decoder.near_xid = 753
    begin, table, full, commit = SENT[0][0], SENT[1][0], SENT[2][0], SENT[-1][0]
    changes = [data for data, m in SENT if isinstance(m, Insert | Update | Delete)]
    for message in (begin, table, full, *changes, changes[0], SENT[11][0]):
        assert decoder.feed(envelope(message)) is False
    assert (decoder.reached, decoder.urgent) == (0, False)
    assert decoder.feed(b"k" + (99).to_bytes(8, "big") + bytes(8) + b"\x01") is True
    assert (decoder.reached, decoder.sent) == (0, 99)  # the transaction is not complete
    decoder.feed(envelope(SENT[12][0]))
    decoder.feed(envelope(commit))
    assert (decoder.reached, decoder.urgent) == (24352232, True)
    wanted = ["-5 f", "1 f", "1 t", "2 f", "2 t", "\\N t"]
    text, count = decoder.take()
    assert sorted(text.decode().splitlines()) == sorted(e.replace(" ", "\t") + "\t753" for e in wanted)
    assert count == len(wanted)
    assert (decoder.take(), decoder.urgent) == ((b"", 0), False)


def test_a_change_without_its_key_is_a_defect() -> None:
    """A replica identity that somebody changed; whichever way the message is read."""
    for table, change in ((SENT[1][0], b"D\x00\x00@\x00K\x00\x01n"), (SENT[2][0], b"D\x00\x00@\x08K\x00\x02nt\x00\x00\x00\x01q")):
        decoder = Decoder(("id",))
        decoder.feed(envelope(SENT[0][0]))
        decoder.feed(envelope(table))
        with pytest.raises(DefectError, match="without its key"):
            decoder.feed(envelope(change))


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
