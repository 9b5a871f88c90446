"""Triggers that cannot be carried over, and those that an operator has to look at (H28). For the others see swap/ddl/triggers.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from swap.catalog.model import Table, Trigger
from swap.core.connection import Connection
from swap.core.names import TableName, derive, parse_table, quote
from swap.core.toml_text import entry
from swap.ddl.guards import GUARD
from swap.doctor.finding import Finding, Subject, blocker, qualified, read, warning
from swap.plan.model import ColumnPair
from swap.plan.trigger_bindings import Binding, binding


class FromSource(NamedTuple):
    """A constraint trigger FROM a rebuilt table, on another table."""

    from_oid: int
    schema: str
    relation: str
    trigger: str


def check_triggers(conn: Connection, subject: Subject) -> Iterator[Finding]:
    """Triggers of the source and of tables with references; constraint triggers of other tables FROM the source."""
    own = f"{quote(subject.config.names.state_schema)}."
    for table in subject.tables:
        among = subject.pairs_of(table.name)
        given = {x.name for x in subject.config.trigger if parse_table(x.table) == table.name}
        for t in table.triggers:
            if t.name not in given:
                yield from _check(table, t, among)
            if not t.function.startswith(own):  # not a guard that an earlier run left: it writes only its own pair
                yield from _order(table, t)
    oids = [t.oid for t in subject.catalog.tables]
    rebuilt = {t.oid: t.name for t in subject.rebuilt}
    for r in read(conn, FromSource, "triggers.sql", sources=list(rebuilt), oids=oids):
        on = TableName(r.schema, r.relation)
        detail = (
            f"is a constraint trigger FROM {rebuilt[r.from_oid]}: it would stay with the retired table, and be dropped with it"
        )
        yield blocker("trigger", qualified(on, r.trigger), detail, _drop(r.trigger, on))


def _check(table: Table, t: Trigger, among: tuple[ColumnPair, ...]) -> Iterator[Finding]:
    at = qualified(table.name, t.name)
    uuids = ", ".join(quote(p.uuid) for p in among if p.uuid in t.columns)
    how = binding(t, among)
    if how is Binding.torn:
        alone = ", ".join(quote(p.integer) for p in among if p.integer in t.columns)
        detail = (
            f"names {alone} (UPDATE OF or WHEN), to be bound to the uuid of that name, and {uuids}, a name that is gone"
            " after the cutover: no text of it serves both"
        )
        hint = f"{_drop(t.name, table.name)}{_after_the_cutover(table, t, among)}"
        yield blocker("trigger", at, detail, hint)
    elif how is Binding.numbers:
        detail = f"is bound to {uuids} and follows it to its new name; its function {t.function} may still use the old one"
        yield warning("trigger", at, detail, "If it keeps the two columns together: the guard does that, drop it.")


def _after_the_cutover(table: Table, t: Trigger, among: tuple[ColumnPair, ...]) -> str:
    """The entry of [[trigger]] with the columns by their new names: a uuid's is the integer's. A WHEN has to be written anew."""
    if t.when or not t.update_of:
        return ""
    names = {p.uuid: p.integer for p in among}
    before = " OF " + ", ".join(map(quote, t.update_of))
    after = " OF " + ", ".join(dict.fromkeys(quote(names.get(c, c)) for c in t.update_of))
    definition = f"{t.head.replace(before, after, 1)}ON {table.name} {t.tail}"
    return f" Or {entry('trigger', table=str(table.name), name=t.name, definition=definition)}"


def _order(table: Table, t: Trigger) -> Iterator[Finding]:
    """Row triggers fire in the order of their names, byte by byte. The guard must come last: it judges the values that are stored."""
    if t.row and t.before and (t.on_insert or t.on_update) and t.name.encode() > GUARD.encode() and t.enabled != "D":
        at = qualified(table.name, t.name)
        detail = f"fires after the guard, whose name begins with {GUARD}: a key that it changes would not be looked at"
        earlier = quote(derive("a_", t.name))
        hint = f"ALTER TRIGGER {quote(t.name)} ON {table.name} RENAME TO {earlier}; or accept it, if it changes no key."
        yield blocker("trigger", at, detail, hint, acceptable=True)


def _drop(trigger: str, table: TableName) -> str:
    return f"DROP TRIGGER {quote(trigger)} ON {table}; and create it again after the cutover."
