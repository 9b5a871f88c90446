"""User triggers: those of swapped tables, and those of reference tables that are bound to an exchanged column or a swapped table.

Those of swapped tables are disabled on the retired table and created on the new one. The others are created again where that is
needed: swap.plan.trigger_bindings says how each is bound.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Table, Trigger
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import Plan
from swap.plan.texts import TRIGGER, with_new_trigger
from swap.plan.trigger_bindings import Binding, binding, refers_to

ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


def quiet_triggers(plan: Plan) -> list[Statement]:
    """Disable the swapped tables' user triggers: replay maintains the retired tables, and must not fire them."""
    alter = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    why = "replay into the retired table fires no user trigger"
    out = []
    for table, t in ((swapped.name, t) for swapped in plan.swapped for t in plan.table_of(swapped).triggers):
        name = sql.Identifier(t.name)
        off, on = (alter.format(table.sql, verbatim(state), name) for state in ("DISABLE", ENABLE[t.enabled]))
        out.append(Statement(off, why, table, AX, on, kind=Kind.TRIGGER))
    return out


def release_triggers(plan: Plan) -> list[Statement]:
    """Drop triggers of reference tables that are bound anew. The undo creates them when every name is back."""
    return [create_trigger(t.name, g).reversed() for t in _references(plan) for g in reversed(t.triggers) if _rebuilt(plan, t, g)]


def bind_triggers(plan: Plan) -> list[Statement]:
    """Create the triggers that follow uuid columns by number: tables have their new names by now, columns the old ones."""
    return _created(plan, Binding.numbers)


def user_triggers(plan: Plan) -> list[Statement]:
    """Create all other triggers by their own text: column names mean the new columns by now."""
    return [*_created(plan, Binding.free), *_created(plan, Binding.names)]


def replace_triggers(plan: Plan) -> list[Statement]:
    """Create the triggers of [[trigger]], when everything has its new name and the functions are there."""
    tables = {t.name: t for t in (*(plan.table_of(s) for s in plan.swapped), *_references(plan))}
    out = []
    for text in (t for t in plan.texts if t.kind == TRIGGER):
        old = next(g for g in tables[text.table].triggers if g.name == text.name)
        out.append(create_trigger(text.table, with_new_trigger(old, text)))
    return out


def _created(plan: Plan, how: Binding) -> list[Statement]:
    return [
        create_trigger(t.name, g)
        for t in (*(plan.table_of(s) for s in plan.swapped), *_references(plan))
        for g in t.triggers
        if plan.text_on(TRIGGER, t.name, g.name) is None
        if how_bound(plan, t.name, g) is how and (plan.swapped_table(t.name) or _rebuilt(plan, t, g))
    ]


def how_bound(plan: Plan, table: TableName, trigger: Trigger) -> Binding:
    """How the exchange treats the trigger. A WHEN that stays over the integers follows them by number."""
    return Binding.numbers if (table, trigger.name) in plan.whens else binding(trigger, plan.pairs_of(table))


def _rebuilt(plan: Plan, table: Table, trigger: Trigger) -> bool:
    """Whether a trigger of a table that stays is created again."""
    if plan.text_on(TRIGGER, table.name, trigger.name):
        return True
    swapped = (plan.table_of(t).oid for t in plan.swapped)
    return how_bound(plan, table.name, trigger) is Binding.names or any(refers_to(trigger, oid) for oid in swapped)


def _references(plan: Plan) -> list[Table]:
    return [t for t in plan.catalog.tables if plan.swapped_table(t.name) is None]


def create_trigger(table: TableName, t: Trigger) -> Statement:
    """Create the trigger by its text, with its enabled state, comment and dependencies. Undo: DROP TRIGGER."""
    name = sql.Identifier(t.name)
    create: Query = verbatim(t.definition)
    if t.enabled != "O":
        create += sql.SQL("; ALTER TABLE {} {} TRIGGER {}").format(table.sql, verbatim(ENABLE[t.enabled]), name)
    if t.comment:
        create += sql.SQL("; COMMENT ON TRIGGER {} ON {} IS {}").format(name, table.sql, sql.Literal(t.comment))
    if t.constraint_comment:  # pg_dump leaves it out
        comment = sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}")
        create += comment.format(name, table.sql, sql.Literal(t.constraint_comment))
    for e in t.extensions:
        create += sql.SQL("; ALTER TRIGGER {} ON {} DEPENDS ON EXTENSION {}").format(name, table.sql, sql.Identifier(e))
    drop = sql.SQL("DROP TRIGGER {} ON {}").format(name, table.sql)
    label = part(table, t.name)
    return Statement(
        create, "user trigger", table, AX, drop, kind=Kind.TRIGGER, verb=Verb.CREATE, object=label, path=t.meaning.path
    )  # fmt: skip
