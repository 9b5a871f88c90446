"""A superuser runs `swap` on tables of others: whatever they put on a table would run with a superuser's rights (invariant 12).

CHECKs, domains, defaults, generated columns, index expressions and triggers run as the role that writes the row, and `swap` writes
every row. The server switches to the owner by itself for CREATE INDEX, ANALYZE and REFRESH only.

Rejected: SET ROLE or SET SESSION AUTHORIZATION to the owner. The code that runs then can take it back with a RESET, for that is what
the session's login role may do. The server forbids the RESET in SECURITY DEFINER functions alone, and most of what `swap` runs
cannot stand in a function. So a session that may become more than the owner is no place for the owner's code: `swap` is to connect
as the owner, or the operator says by name that the owner may have that power.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, blocker, read
from swap.plan.model import Plan

NAME = "superuser"


class Power(NamedTuple):
    """`owner` of the table, or of `functions` that parts of it call, decides what runs there. `role`, which runs swap, may become
    `power`, and `owner` may not."""

    schema: str
    table: str
    owner: str
    role: str
    power: str
    functions: str


def check_powers(conn: Connection, tables: Iterable[TableName], run: Plan | None = None) -> list[Finding]:
    """A blocker for each table whose code would run with the rights of a superuser, and its owner is none. Reads the catalog only.
    Empty where no code would. `run`: the plan of a run under way, whose shadows and retired tables count as the swapped ones."""
    as_swapped = {name: t.name for t in run.swapped for name in (t.shadow, t.retired)} if run else {}
    names = sorted({*tables, *as_swapped})
    rows = read(conn, Power, "powers.sql", schemas=[n.schema for n in names], tables=[n.name for n in names])
    found: dict[TableName, list[Power]] = {}
    for row in rows:
        name = TableName(row.schema, row.table)
        found.setdefault(as_swapped.get(name, name), []).append(row)
    return [_finding(name, powers) for name, powers in found.items()]


def _finding(name: TableName, powers: list[Power]) -> Finding:
    first = powers[0]
    owners = sorted({p.owner for p in powers})
    calls = sorted({p.functions for p in powers if p.functions})
    now = f", now {', '.join(calls)}" if calls else ""
    detail = (
        f"{' and '.join(owners)} decides what code runs on it (checks, defaults, generated columns, index expressions, triggers{now}),"
        f" and it would run with the rights of {first.power}, which {first.role} may use"
    )
    hint = f"Connect as {quote(first.owner)}, or as a member of it that is no superuser (docs/privileges.md)."
    return blocker(
        NAME, name, detail, f"{hint} Or accept it: {' and '.join(owners)} can become {first.power} then.", acceptable=True
    )


def tables_of(run: Plan) -> list[TableName]:
    return [run.source, *(t.name for t in run.catalog.tables)]
