"""Views, materialized views and functions that depend on the source: which of them cannot be built again.

These checks read the catalog. What the new type breaks in a text (`id > 100`) is found by the trial build.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from swap.catalog.model import Function, View
from swap.core.connection import Connection
from swap.core.names import TableName, parse_table, quote
from swap.core.rows import fetch_rows
from swap.ddl.materialized_views import REFRESH_BYTES, is_small
from swap.ddl.mentions import mentions
from swap.doctor.finding import Finding, Subject, blocker, qualified

KINDS = {"v": "VIEW", "m": "MATERIALIZED VIEW"}
REASONS = {
    "pg_rewrite": ("is a rule that reads it", "DROP RULE, and create it again afterwards."),
    "pg_seclabel": (
        "is not carried over in this version",
        "Take the label away (SECURITY LABEL, `IS NULL` for its text), and give it again after the cutover.",
    ),
    "pg_extension": (
        "depends on an extension by name, which is not carried over",
        "Take the dependency away (NO DEPENDS ON EXTENSION), and give it again after the cutover.",
    ),
    "cycle": ("needs it, which needs this one in turn: neither can be created first", "Break the circle."),
    "recursion": ("calls itself in its SQL-standard body: it cannot be created by its text", "Write its body as a string."),
}
UNKNOWN = ("is bound to it, and would keep it from being built again", "Drop it, and create it again after the cutover.")


class BoundColumn(NamedTuple):
    """A view or function (`kind`) that is bound to one column of a table by its number."""

    kind: str
    object: str
    table_oid: int
    column: str


def check_views_and_functions(conn: Connection, subject: Subject, bound: Sequence[BoundColumn]) -> Iterator[Finding]:
    """`bound`: everything that is bound to the key, the identity column or a reference. Reads the catalog only."""
    for u in subject.catalog.unclaimed:
        detail, hint = REASONS.get(u.catalog, UNKNOWN)
        yield blocker("dependent", u.description, f"{detail} ({u.on})", hint)
    for v in subject.catalog.views:
        yield from _view(v)
    for f in subject.catalog.functions:
        yield from _function(f, subject)
    yield from _gone_names(subject, bound)
    yield from _mentions(conn, subject)


def _view(v: View) -> Iterator[Finding]:
    again = f"DROP {KINDS[v.kind]} {v.name}, and create it again after the cutover."
    if v.extension:
        yield blocker("view", v.name, f"belongs to the extension {v.extension}, or depends on it by name", again)
    if v.persistence == "t":
        yield blocker("view", v.name, "is a temporary view of another session", "End that session.")
    if v.populated and v.unfilled:
        detail = f"is populated and could not be filled again: {v.unfilled} under it is not"
        yield blocker("view", v.name, detail, f"REFRESH MATERIALIZED VIEW {v.unfilled};")
    elif v.kind == "m" and v.populated and not is_small(v):
        mb, most = v.reads_bytes / 1024**2, REFRESH_BYTES / 1024**2
        detail = (
            f"filling it reads {mb:,.0f} MB, too much to do under the cutover's lock (up to {most:.0f} MB is):"
            " it would be empty, an error to its readers, from the cutover until it is refreshed right afterwards"
        )
        yield blocker("view", v.name, detail, f"{again} Or accept it.", acceptable=True)


def _function(f: Function, subject: Subject) -> Iterator[Finding]:
    again = f"DROP ROUTINE {f.signature}; and create it again after the cutover."
    role = subject.catalog.role
    if f.kind == "a":
        yield blocker("function", f.signature, "is an aggregate over the table or its row type", again)
    if f.extension:
        yield blocker("function", f.signature, f"belongs to the extension {f.extension}, or depends on it by name", again)
    if f.superuser_only and f.kind != "a":
        detail = "only a superuser may create it: its language is not trusted, or it is LEAKPROOF or has a SUPPORT function"
        yield blocker("function", f.signature, detail, again)
    if not f.owned:
        hint = f"GRANT {quote(f.owner)} TO {quote(role)};"
        yield blocker("ownership", f.signature, f"belongs to {f.owner}, whom {role} cannot act for", hint)
    elif not f.creatable:
        hint = f"GRANT CREATE ON SCHEMA {quote(f.name.schema)} TO {quote(role)}, {quote(f.owner)};"
        yield blocker("schema-privileges", f.name.schema, f"{role} or {f.owner} cannot create {f.signature} in it", hint)
    if table := _widened(f, subject):
        detail = f"lists the columns of {table} in its SQL-standard body and returns its rows: it fails as soon as one is added"
        yield blocker("function", f.signature, detail, f"Write its body as a string, or {again}")


def _widened(f: Function, subject: Subject) -> TableName | None:
    """The table whose columns the function lists, where the run adds a column to it. Seen: `BEGIN ATOMIC SELECT * FROM users; END`
    lists the columns of that moment; after an ADD COLUMN every call is an error."""
    if not f.lists_columns:
        return None
    added = {r.oid: r.table for r in subject.references if not r.own and (not r.adopted or r.compat_column)}
    if (
        subject.config.names.compat
        or subject.source.column(subject.config.identity.column) is None
        or any(r.own and not r.adopted for r in subject.references)
    ):
        added[subject.source.oid] = subject.source.name
    return added.get(f.returns)


def _gone_names(subject: Subject, bound: Sequence[BoundColumn]) -> Iterator[Finding]:
    """Views and functions are created again by their text. It must not use a column whose name does not exist after the cutover."""
    if subject.config.names.compat:
        return  # a compatibility column has that name
    renamed = {(subject.source.oid, subject.config.identity.column)}
    renamed |= {(r.oid, r.uuid_column) for r in subject.references if not r.companion}
    names = {t.oid: t.name for t in subject.tables}
    given = {str(parse_table(v.name)) for v in subject.config.view} | {n.function.signature for n in subject.catalog.named}
    for b in bound:
        if (b.table_oid, b.column) in renamed and b.object not in given:
            detail = f"uses {qualified(names[b.table_oid], b.column)}, a name that is gone after the cutover"
            yield blocker(b.kind, b.object, detail, f"Rewrite {b.object} without it, or drop it for the migration.")


def _mentions(conn: Connection, subject: Subject) -> Iterator[Finding]:
    """Functions with string bodies, which open sessions have compiled with the old types. Only their owner can have them compiled
    again."""
    tables = [subject.source.name, *(r.table for r in subject.references)]
    for r in fetch_rows(conn, mentions(subject.config.names.state_schema, tables, [v.name for v in subject.catalog.views])):
        if not r["owned"]:
            owner = r["pg_get_userbyid"]
            detail = (
                f"mentions the tables and belongs to {owner}: sessions that have called it go on with the old types, and"
                " their next call fails until they reconnect"
            )
            hint = f"GRANT {quote(owner)} TO {quote(subject.catalog.role)}; or accept it."
            at = f"{TableName(r['nspname'], r['proname'])}({r['arguments']})"
            yield blocker("function", at, detail, hint, acceptable=True)
