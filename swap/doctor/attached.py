"""Objects of the tables that are neither column, index, constraint, trigger nor policy."""

from __future__ import annotations

from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import quote
from swap.ddl.statistics import build_name, retired_name
from swap.doctor.finding import Finding, Subject, blocker, or_ok, qualified, read, read_values


class ExtensionLink(NamedTuple):
    """An object that belongs to an extension or depends on it."""

    object: str
    extension: str


class MissingRight(NamedTuple):
    """A privilege that a table's owner has given up."""

    table_oid: int
    privilege: str


class SequenceUser(NamedTuple):
    """An object that uses the sequence of an identity column."""

    table_oid: int
    column: str
    sequence: str
    user: str


def check_attached_objects(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    return [
        *_identity_sequences(conn, subject),
        *_extensions(conn, subject),
        *_owner_rights(conn, subject),
        *_statistics(conn, subject),
    ]


def _statistics(conn: Connection, subject: Subject) -> list[Finding]:
    """Extended statistics. Only their owner may rename them, and each needs two more names."""
    if subject.plan is None:
        return []
    found = []
    for s in subject.plan.catalog.statistics:
        if not s.owned:
            hint = f"GRANT {quote(s.owner)} TO {quote(subject.catalog.role)};"
            found.append(blocker("ownership", s.name, f"these statistics belong to {s.owner}", hint))
        for name in (build_name(s), retired_name(subject.plan, s)):
            if read_values(conn, "statistics_name.sql", schema=name.schema, name=name.name):
                found.append(blocker("names", name, f"statistics of this name exist, which {s.name} needs", f"Rename {name}."))
    return found


def _extensions(conn: Connection, subject: Subject) -> list[Finding]:
    """H32: an extension's link is to the object and not to its name. A new object of that name would not have it."""
    return [
        blocker(
            "extension", r.object, f"belongs to or depends on the extension {r.extension}: a new object in its place would not",
            f"Take it out of the extension (ALTER EXTENSION {quote(r.extension)} DROP, or NO DEPENDS ON EXTENSION {quote(r.extension)}), and put"
            " it in again after the cutover.",
        )
        for r in read(conn, ExtensionLink, "extensions.sql", oids=[t.oid for t in subject.tables])
    ]  # fmt: skip


def _owner_rights(conn: Connection, subject: Subject) -> list[Finding]:
    """A new table's owner has every right on it, also one that the owner has given up on the old table. And replay, guards and foreign
    keys need rights of the owner."""
    tables = {t.oid: t for t in subject.tables}
    return [
        blocker(
            "grants", t.name, f"its owner {t.owner} has given up {r.privilege} on it",
            f"GRANT {r.privilege} ON {t.name} TO {quote(t.owner)}; and REVOKE it again afterwards.",
        )
        for r in read(conn, MissingRight, "owner_rights.sql", oids=list(tables), sources=[t.oid for t in subject.rebuilt])
        for t in (tables[r.table_oid],)
    ]  # fmt: skip


def _identity_sequences(conn: Connection, subject: Subject) -> list[Finding]:
    """H31: the sequence of an identity cannot be given to another table. It is dropped, and a new one gets its name."""
    source = subject.source
    names = {t.oid: t.name for t in subject.rebuilt}
    found = [
        blocker(
            "identity-sequence", qualified(names[r.table_oid], r.column),
            f"its sequence {r.sequence} is used by {r.user} too, which would hold on to a sequence that is gone",
            "Give that one a sequence of its own.",
        )
        for r in read(conn, SequenceUser, "sequence_users.sql", sources=list(names))
    ]  # fmt: skip
    count = sum(s.identity for t in subject.rebuilt for s in t.sequences)
    return or_ok(found, "identity-sequence", source.name, f"{count} identity columns; nothing else uses their sequences")
