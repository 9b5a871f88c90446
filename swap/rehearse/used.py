"""What production's pg_stat_statements says: the statements about the tables of the migration, and how often each ran."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan.model import Plan

EXPLAINED = re.compile(r"^\s*(select|insert|update|delete|merge|with|values)\b", re.IGNORECASE)
# What the mix does at least of each kind, and of reads at most: it is also there to find a write that is lost.
LEAST, MOST_READS = 0.05, 0.8
VIEW = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'"


class Used(NamedTuple):
    """A row of top_statements.sql."""

    text: str
    calls: int


def read_used(conn: Connection, plan: Plan) -> list[Used] | None:
    """The statements with the most time that name a table of the plan, most time first. None where pg_stat_statements is not there, or
    not readable."""
    row = conn.execute(VIEW).fetchone()
    if row is None:
        return None
    try:
        found = fetch(
            conn, Used, load_sql("swap.rehearse", "top_statements.sql").format(view=sql.Identifier(row[0], "pg_stat_statements"))
        )
    except psycopg.Error:
        return None
    named = mention(plan)
    return [used for used in found if EXPLAINED.match(used.text) and named.search(used.text)]


def mention(plan: Plan) -> re.Pattern[str]:
    """Finds the name of a table of the migration in a statement; group 1 is the name."""
    names = sorted({t.name.name for t in plan.swapped} | {r.table.name for r in plan.references}, key=len, reverse=True)
    return re.compile(rf"(?<![\w$])({'|'.join(map(re.escape, names))})(?![\w$])")


@dataclass(frozen=True)
class Shares:
    """How the mix is made up: what part of its transactions is of each kind. `tables`: how often reads name a table, by its plain name.
    `source`: where that comes from, for people."""

    read: float = 0.5
    insert: float = 0.25
    update: float = 0.2
    delete: float = 0.05
    tables: tuple[tuple[str, int], ...] = ()
    source: str = "the catalog"

    @property
    def by_kind(self) -> dict[str, float]:
        return {
            "read": round(self.read, 3),
            "insert": round(self.insert, 3),
            "update": round(self.update, 3),
            "delete": round(self.delete, 3),
        }

    def weight(self, table: str) -> float:
        """Of a table among those that are read. One that production did not read is read at times."""
        calls = dict(self.tables)
        return max(calls.get(table, 0), LEAST * max(calls.values(), default=1))


def shares_of(used: Sequence[Used] | None, plan: Plan) -> Shares:
    """The shares of production's calls, within the bounds; the default where it has none."""
    kinds = dict.fromkeys(("read", "insert", "update", "delete"), 0)
    tables: dict[str, int] = {}
    named = mention(plan)
    for u in used or ():
        kind = _kind(u.text)
        kinds[kind] += u.calls
        if kind == "read" and (found := named.search(u.text)):
            tables[found[1]] = tables.get(found[1], 0) + u.calls
    total = sum(kinds.values())
    if not total:
        return Shares()
    share = {kind: max(LEAST, calls / total) for kind, calls in kinds.items()}
    share["read"] = min(share["read"], MOST_READS)
    writes = sum(v for k, v in share.items() if k != "read")
    scaled = {k: v if k == "read" else v / writes * (1 - share["read"]) for k, v in share.items()}
    return Shares(**scaled, tables=tuple(sorted(tables.items())), source="pg_stat_statements")


def _kind(text: str) -> str:
    word = re.match(r"\s*(\w+)", text)
    return {"insert": "insert", "update": "update", "delete": "delete", "merge": "update"}.get(
        word[1].lower() if word else "", "read"
    )


def reads_of(used: Iterable[Used] | None) -> list[str]:
    """Production's own reads, the most expensive first: what the mix may run as they are."""
    return [u.text for u in used or () if re.match(r"\s*select\b", u.text, re.IGNORECASE)]
