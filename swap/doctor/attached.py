"""What is attached to the tables themselves and is neither column, index, constraint, trigger nor policy."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.names import quote
from swap.ddl.statistics import build_name, retired_name
from swap.doctor.finding import Finding, Subject, blocker, or_ok, qualified, read


def check_attached_objects(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    return [
        *_identity_sequences(conn, subject),
        *_extensions(conn, subject),
        *_owner_rights(conn, subject),
        *_statistics(conn, subject),
    ]


def _statistics(conn: Connection, subject: Subject) -> list[Finding]:
    """Extended statistics are renamed, which their owner alone may do, and need two names more."""
    if subject.plan is None:
        return []
    found = []
    for s in subject.plan.catalog.statistics:
        if not s.owned:
            hint = f"GRANT {quote(s.owner)} TO {quote(subject.catalog.role)};"
            found.append(blocker("ownership", s.name, f"these statistics belong to {s.owner}", hint))
        for name in (build_name(s), retired_name(subject.plan, s)):
            if read(conn, "statistics_name.sql", schema=name.schema, name=name.name):
                found.append(blocker("names", name, f"statistics of this name exist, which {s.name} needs", f"Rename {name}."))
    return found


def _extensions(conn: Connection, subject: Subject) -> list[Finding]:
    """H32: what an extension made, or what goes when the extension goes, is bound to the object and not to its name."""
    return [
        blocker(
            "extension", what, f"belongs to or depends on the extension {extension}: a new object in its place would not",
            f"ALTER EXTENSION {quote(extension)} DROP …, or ALTER … NO DEPENDS ON EXTENSION, and again after the cutover.",
        )
        for what, extension in read(conn, "extensions.sql", oids=[t.oid for t in subject.tables])
    ]  # fmt: skip


def _owner_rights(conn: Connection, subject: Subject) -> list[Finding]:
    """An owner that gave up a right has it again on a new table; replay, guards and foreign keys need theirs everywhere."""
    tables = {t.oid: t for t in subject.tables}
    return [
        blocker(
            "grants", t.name, f"its owner {t.owner} has given up {privilege} on it",
            f"GRANT {privilege} ON {t.name} TO {quote(t.owner)}; and REVOKE it again afterwards.",
        )
        for oid, privilege in read(conn, "owner_rights.sql", oids=list(tables), source=subject.source.oid)
        for t in (tables[oid],)
    ]  # fmt: skip


def _identity_sequences(conn: Connection, subject: Subject) -> list[Finding]:
    """H31: an identity's sequence cannot change hands; it is dropped and made anew, under the same name."""
    source = subject.source
    found = [
        blocker(
            "identity-sequence", qualified(source.name, column),
            f"its sequence {sequence} is used by {user} too, which would hold on to a sequence that is gone",
            "Give that one a sequence of its own.",
        )
        for column, sequence, user in read(conn, "sequence_users.sql", source=source.oid)
    ]  # fmt: skip
    count = sum(s.identity for s in source.sequences)
    return or_ok(found, "identity-sequence", source.name, f"{count} identity columns; nothing else uses their sequences")
