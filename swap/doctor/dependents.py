"""Objects that depend on the tables: what cannot be carried over is refused by name (invariant 10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from swap.catalog.model import Dependent, Grant, Table
from swap.core.connection import Connection
from swap.core.names import quote
from swap.doctor.filtered_views import check_filtered_views
from swap.doctor.finding import Finding, Subject, blocker, or_ok, read
from swap.doctor.policies import check_policies
from swap.doctor.triggers import check_triggers
from swap.doctor.views_and_functions import BoundColumn, check_views_and_functions
from swap.plan.texts import new_texts

REASONS = {
    "pg_policy": ("its expression names the table's row type", "DROP POLICY before, and CREATE it again after the cutover."),
    "pg_seclabel": (
        "security labels of sequences, partitions and row types are not carried over",
        "Take the label away (SECURITY LABEL, `IS NULL` for its text), and give it again after the cutover.",
    ),
}
UNKNOWN = (
    "depends on the table or its row type, and is not carried over in this version",
    "Drop it, or remove the dependency.",
)


class Grantor(NamedTuple):
    """A role that granted rights by its grant option. `can_become`: this role may act for it. `sees_schema`: it has USAGE."""

    name: str
    can_become: bool
    sees_schema: bool


def check_dependents(conn: Connection, subject: Subject) -> list[Finding]:
    """Views, functions, triggers, policies, grants, and every dependency that no rule claims. Reads the catalog only."""
    config, source = subject.config, subject.source
    columns = [(source.oid, config.source.key), (source.oid, config.identity.column)]
    columns += [(r.oid, c) for r in subject.references if not r.companion for c in (r.column, r.uuid_column)]
    bound = read(conn, BoundColumn, "bound.sql", oids=[o for o, _ in columns], columns=[c for _, c in columns])
    found = [
        *(_dependent(d) for d in subject.catalog.dependents),
        *check_views_and_functions(conn, subject, bound),
        *check_filtered_views(conn, subject),
        *check_triggers(conn, subject),
        *check_policies(conn, subject),
        *(blocker(p.kind, p.object, p.detail, p.hint) for p in new_texts(subject.catalog, config)[1]),
        *_grants(conn, subject),
    ]
    views, functions = len(subject.catalog.views), len(subject.catalog.functions)
    return or_ok(found, "dependents", source.name, f"everything attached comes along ({views} views, {functions} functions)")


def _dependent(d: Dependent) -> Finding:
    detail, hint = REASONS.get(d.catalog, UNKNOWN)
    return blocker("dependent", d.description, f"{detail} ({d.table})", hint)


def _grants(conn: Connection, subject: Subject) -> Iterator[Finding]:
    """A right that another role granted, by its grant option, is granted by that role again on the tables and their columns.
    Elsewhere it is refused."""
    tables = [(t, t.grants) for t in subject.rebuilt]
    for t in (t for t in subject.tables if t not in subject.rebuilt):
        columns = {c for r in subject.references if r.table == t.name for c in (r.column, r.uuid_column)}
        tables.append((t, tuple(g for g in t.grants if g.column in columns)))
    for table, held in tables:
        yield from _grantors(conn, table, held, subject.catalog.role)
    relations = [(str(v.name), v.owner, v.grants) for v in subject.catalog.views]
    relations += [(str(s.name), t.owner, s.grants) for t in subject.rebuilt for s in t.sequences if s.identity]
    relations += [(f.signature, f.owner, f.grants) for f in subject.catalog.functions]
    for name, owner, grants in relations:
        for grantor in sorted({g.grantor for g in grants if g.grantor != owner}):
            detail = f"{grantor} granted rights on it with its grant option; only {owner}'s own grants are carried over here"
            yield blocker("grants", name, detail, _regrant(owner, name, grantor))


def _regrant(owner: str, name: object, grantor: str) -> str:
    return f"Grant them as {owner}, then: REVOKE GRANT OPTION FOR ALL ON {name} FROM {quote(grantor)} CASCADE;"


def _grantors(conn: Connection, table: Table, held: tuple[Grant, ...], role: str) -> Iterator[Finding]:
    others = sorted({g.grantor for g in held if g.grantor != table.owner})
    rows = read(conn, Grantor, "grantors.sql", roles=others, schema=table.name.schema) if others else []
    for grantor in sorted(rows):
        detail = f"{grantor.name} granted rights on it with its grant option, "
        again = f" Or: {_regrant(table.owner, table.name, grantor.name)}"
        if not grantor.can_become:
            detail += f"and {role} cannot act for {grantor.name} to give them again"
            yield blocker("grants", table.name, detail, f"GRANT {quote(grantor.name)} TO {quote(role)};{again}")
        elif not grantor.sees_schema:
            detail += f"and has no USAGE on the schema {quote(table.name.schema)} any more to give them again"
            hint = f"GRANT USAGE ON SCHEMA {quote(table.name.schema)} TO {quote(grantor.name)};{again}"
            yield blocker("grants", table.name, detail, hint)
