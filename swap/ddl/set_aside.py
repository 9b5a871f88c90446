"""What is bound by OID to the retired table is set aside, whole, in the state schema, and stays there until `finalize`.

A view, materialized view or function that is created again by its text is not dropped: it keeps its OID, its rows, its
grants and whatever else it has, under a name that cannot collide, in a schema on which nobody but its owner has a right.
So the way back is a change of the catalog only and gives back the very object, not a copy made of its text; and a
materialized view that took an hour to fill has its rows after a revert (seen: SET SCHEMA takes its indexes along).
Rejected: dropping and creating again both ways, which loses rows and whatever the text does not say.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Function, View
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.plan.model import Plan

KEPT = "kept as it is for a revert, out of sight"
WORDS = {"v": "VIEW", "m": "MATERIALIZED VIEW"}


def dependents(plan: Plan) -> list[View | Function]:
    """Views and functions in the order in which they can be created."""
    both: list[View | Function] = [*plan.catalog.views, *plan.catalog.functions]
    return sorted(both, key=lambda x: x.rank)


def word(dependent: View | Function) -> sql.SQL:
    return verbatim(WORDS[dependent.kind] if isinstance(dependent, View) else "ROUTINE")


def routine(function: Function) -> sql.Composed:
    """The function with its argument types, as a command that names one wants it."""
    return function.name.sql + verbatim(f"({function.arguments})")


def set_aside(plan: Plan) -> list[Statement]:
    """Each by two names: RENAME first, so that it meets nobody of its name in the state schema."""
    out = []
    for f in reversed(dependents(plan)):
        called = f.name.sql if isinstance(f, View) else routine(f)
        aside = _kept_name(plan, f)
        rename, move = sql.SQL("ALTER {} {} RENAME TO {}"), sql.SQL("ALTER {} {} SET SCHEMA {}")
        away: list[Query] = []
        back: list[Query] = []
        for index in f.of("index") if isinstance(f, View) else ():
            old, new = f.name.renamed(index.name), f.name.renamed(_unique(plan, index.name, f.oid))
            away.append(sql.SQL("ALTER INDEX {} RENAME TO {}").format(old.sql, sql.Identifier(new.name)))
            back.append(sql.SQL("ALTER INDEX {} RENAME TO {}").format(new.sql, sql.Identifier(old.name)))
        meanwhile = f.name.renamed(aside.name).sql
        away += [
            rename.format(word(f), called, sql.Identifier(aside.name)),
            move.format(word(f), meanwhile, sql.Identifier(plan.state_schema)),
        ]
        back += [
            rename.format(word(f), meanwhile, sql.Identifier(f.name.name)),
            move.format(word(f), aside.sql, sql.Identifier(f.name.schema)),
        ]
        lock = AX if isinstance(f, View) else ""
        out.append(
            Statement(sql.SQL("; ").join(away), KEPT, f.name, lock, sql.SQL("; ").join(reversed(back)), kind=Kind.SET_ASIDE)
        )
    return out


def drop_set_aside(plan: Plan) -> list[Statement]:
    """For `finalize`: what was kept goes, before the retired table on which it rests. A function's name is unique there."""
    drop = sql.SQL("DROP {} IF EXISTS {}")
    return [
        Statement(drop.format(word(f), _kept_name(plan, f).sql), "was kept for a revert", kind=Kind.SET_ASIDE, verb=Verb.DROP)
        for f in reversed(dependents(plan))
    ]


def _kept_name(plan: Plan, f: View | Function) -> TableName:
    return TableName(plan.state_schema, _unique(plan, f.name.name, f.oid))


def _unique(plan: Plan, name: str, oid: int) -> str:
    """Two runs may set aside what was created by the text of one view, hence the run's tag."""
    return derive(name, f"_{plan.tag}_{oid}")
