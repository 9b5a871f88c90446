"""What follows the old table: everything that is not carried over is refused by name (invariant 10)."""

from __future__ import annotations

from collections.abc import Iterator

from swap.core.catalog.model import Dependent
from swap.core.connection import Connection
from swap.core.names import quote
from swap.prepare.checks_base import Finding, Subject, blocker, or_ok, read
from swap.prepare.checks_followers import check_followers
from swap.prepare.checks_policies import check_policies
from swap.prepare.checks_triggers import check_triggers

REASONS = {
    "pg_policy": ("its expression names the table's row type", "DROP POLICY before, and CREATE it again after the cutover."),
    "pg_seclabel": (
        "security labels of sequences, partitions and row types are not carried over",
        "SECURITY LABEL … IS NULL, and again afterwards.",
    ),
}
UNKNOWN = (
    "depends on the table or its row type, and is not carried over in this version",
    "Drop it, or remove the dependency.",
)


def check_dependents(conn: Connection, subject: Subject) -> list[Finding]:
    """Census, views, policies, triggers and grants. Reads the catalog only."""
    config, source = subject.config, subject.source
    columns = [(source.oid, config.source.key), (source.oid, config.identity.column)]
    columns += [(r.oid, c) for r in subject.references for c in (r.column, r.uuid_column)]
    bound = read(conn, "checks_bound.sql", oids=[o for o, _ in columns], columns=[c for _, c in columns])
    found = [
        *(_dependent(d) for d in subject.catalog.dependents),
        *check_followers(conn, subject, bound),
        *check_triggers(conn, subject),
        *check_policies(conn, subject),
        *_grants(subject),
    ]
    views, functions = len(subject.catalog.views), len(subject.catalog.functions)
    return or_ok(found, "dependents", source.name, f"everything attached comes along ({views} views, {functions} functions)")


def _dependent(d: Dependent) -> Finding:
    detail, hint = REASONS.get(d.catalog, UNKNOWN)
    return blocker("dependent", d.description, f"{detail} ({d.table})", hint)


def _grants(subject: Subject) -> Iterator[Finding]:
    """A grant is repeated by the owner; one that somebody else gave would change hands."""
    relations = [(t.name, t.owner, t.grants) for t in (subject.source,)]
    relations += [(v.name, v.owner, v.grants) for v in subject.catalog.views]
    for t in (t for t in subject.tables if t is not subject.source):
        columns = {r.column for r in subject.references if r.table == t.name}
        relations.append((t.name, t.owner, tuple(g for g in t.grants if g.column in columns)))
    relations += [(s.name, subject.source.owner, s.grants) for s in subject.source.sequences if s.identity]
    routines = [(f.signature, f.owner, f.grants) for f in subject.catalog.functions]
    for name, owner, grants in (*relations, *routines):
        for grantor in sorted({g.grantor for g in grants if g.grantor != owner}):
            detail = f"{grantor} granted rights on it with its grant option; only {owner}'s own grants are carried over"
            hint = f"Grant them as {owner}, then: REVOKE GRANT OPTION FOR … ON {name} FROM {quote(grantor)} CASCADE;"
            yield blocker("grants", name, detail, hint)
