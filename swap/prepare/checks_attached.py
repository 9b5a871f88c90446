"""What is attached to the tables themselves and is neither column, index, constraint, trigger nor policy."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.prepare.checks_base import Finding, Subject, blocker, or_ok, qualified, read


def check_attached_objects(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    return [*_identity_sequences(conn, subject)]


def _identity_sequences(conn: Connection, subject: Subject) -> list[Finding]:
    """H31: an identity's sequence cannot change hands; it is dropped and made anew, under the same name."""
    source = subject.source
    found = [
        blocker(
            "identity-sequence", qualified(source.name, column),
            f"its sequence {sequence} is used by {user} too, which would hold on to a sequence that is gone",
            "Give that one a sequence of its own.",
        )
        for column, sequence, user in read(conn, "checks_sequence_users.sql", source=source.oid)
    ]  # fmt: skip
    count = sum(s.identity for s in source.sequences)
    return or_ok(found, "identity-sequence", source.name, f"{count} identity columns; nothing else uses their sequences")
