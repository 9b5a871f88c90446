"""Views and functions that bind the retired table by OID: swap sets them aside in the state schema until `finalize`.

The exchange creates such a view, materialized view or function again by its text, but does not drop the old one. The old
one keeps its OID, its rows, its grants and everything else, under a name that cannot collide, in a schema on which only
its owner has privileges. So the way back changes the catalog only, and gives back the object itself, not a copy made of its
text. A materialized view that took an hour to fill has its rows after a revert (seen: SET SCHEMA takes its indexes
along).
Rejected: dropping and creating again both ways, which loses rows and whatever the text does not say.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Function, View
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.plan.model import Plan
from swap.plan.texts import with_new_body, with_text

KEPT = "kept as it is for a revert, out of sight"
WORDS = {"v": "VIEW", "m": "MATERIALIZED VIEW"}


def dependents(plan: Plan) -> list[View | Function]:
    """The views and functions that the exchange creates again, in an order in which they can be created."""
    both: list[View | Function] = sorted([*plan.catalog.views, *plan.catalog.functions], key=lambda x: x.rank)
    bound = {f.oid for f in plan.catalog.functions}
    named = [n.function for n in plan.catalog.named if n.function.oid not in bound]
    return [*(f for f in named if (text := plan.text_of(f.oid)) and not text.in_place), *both]


def made_again(plan: Plan) -> list[View | Function]:
    """The same by their texts of after the cutover."""
    return [
        with_text(x, plan.text_of(x.oid)) if isinstance(x, View) else with_new_body(x, plan.text_of(x.oid))
        for x in dependents(plan)
    ]


def replaced_functions(plan: Plan) -> list[Function]:
    """The functions of [[function]] by their texts of after the cutover."""
    return [
        *(f for f in made_again(plan) if not isinstance(f, View) and plan.text_of(f.oid)),
        *(new for _, new in in_place(plan)),
    ]


def in_place(plan: Plan) -> list[tuple[Function, Function]]:
    """The functions that stay the objects that they are, and each by its text of after the cutover."""
    named = [(n.function, plan.text_of(n.function.oid)) for n in plan.catalog.named]
    return [(f, with_new_body(f, text)) for f, text in named if text and text.in_place]


def word(dependent: View | Function) -> sql.SQL:
    """The kind of object, as ALTER and DROP write it."""
    return verbatim(WORDS[dependent.kind] if isinstance(dependent, View) else "ROUTINE")


def routine(function: Function) -> sql.Composed:
    """The function with its argument types, as commands name one."""
    return function.name.sql + verbatim(f"({function.arguments})")


def set_aside(plan: Plan) -> list[Statement]:
    """Rename each object, then move it: under its new name it cannot collide with another object of the state schema."""
    out = []
    for f in reversed(dependents(plan)):
        called = f.name.sql if isinstance(f, View) else routine(f)
        kept = _kept_name(plan, f)
        rename, move = sql.SQL("ALTER {} {} RENAME TO {}"), sql.SQL("ALTER {} {} SET SCHEMA {}")
        away: list[Query] = []
        back: list[Query] = []
        for index in f.of("index") if isinstance(f, View) else ():
            old, new = f.name.renamed(index.name), f.name.renamed(_unique(plan, index.name, f.oid))
            away.append(sql.SQL("ALTER INDEX {} RENAME TO {}").format(old.sql, sql.Identifier(new.name)))
            back.append(sql.SQL("ALTER INDEX {} RENAME TO {}").format(new.sql, sql.Identifier(old.name)))
        meanwhile = f.name.renamed(kept.name).sql
        away += [
            rename.format(word(f), called, sql.Identifier(kept.name)),
            move.format(word(f), meanwhile, sql.Identifier(plan.state_schema)),
        ]
        back += [
            rename.format(word(f), meanwhile, sql.Identifier(f.name.name)),
            move.format(word(f), kept.sql, sql.Identifier(f.name.schema)),
        ]
        lock = AX if isinstance(f, View) else ""
        text, undo = sql.SQL("; ").join(away), sql.SQL("; ").join(reversed(back))
        out.append(Statement(text, KEPT, f.name, lock, undo, kind=Kind.SET_ASIDE))
    return out


def drop_set_aside(plan: Plan) -> list[Statement]:
    """For `finalize`: drop what was kept, before the retired table on which it rests.

    A function's name is unique in the state schema, so its argument types are not needed.
    """
    drop = sql.SQL("DROP {} IF EXISTS {}")
    return [
        Statement(drop.format(word(f), _kept_name(plan, f).sql), "was kept for a revert", kind=Kind.SET_ASIDE, verb=Verb.DROP)
        for f in reversed(dependents(plan))
    ]


def _kept_name(plan: Plan, f: View | Function) -> TableName:
    return TableName(plan.state_schema, _unique(plan, f.name.name, f.oid))


def _unique(plan: Plan, name: str, oid: int) -> str:
    """A name that no other run uses: two runs may set aside views that one text created, so it has the run's tag in it."""
    return derive(name, f"_{plan.tag}_{oid}")
