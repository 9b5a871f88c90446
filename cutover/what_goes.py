"""What `finalize` is about to drop, and on what trust: listed before it asks, refused where a value would be lost (H65, I8).

An integer without a uuid beside it exists nowhere else: a key of another type in a polymorphic column, an orphan. So the integer
columns stay until there is none. The counts are those of a moment before the first lock; a scan under the lock would stop the
application for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName, derive, quote
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan.model import Plan
from swap.state.migration import Migration
from swap.state.verifications import Verification

ACCEPT = "legacy-values:"


@dataclass(frozen=True)
class Goes:
    """A table (`column` None, `rows` as the server estimates them), or an integer column with `rows` integers, of which `alone` have
    no uuid beside them."""

    table: TableName
    column: str | None
    rows: int
    alone: int = 0
    uuid: str = ""

    def __str__(self) -> str:
        if self.column is None:
            return f"table {self.table}, about {self.rows:,} rows"
        return f"column {self.name}, {self.rows:,} integers" + (f", {self.alone:,} of them without a uuid" if self.alone else "")

    @property
    def name(self) -> str:
        return f"{self.table}.{quote(self.column or '')}"


@dataclass(frozen=True)
class WhatGoes:
    """`cut_over_at`, `age_s`: of the cutover, by the server's clock. `verification`: the last one since."""

    goes: tuple[Goes, ...]
    cut_over_at: datetime | None
    age_s: float | None
    verification: Verification | None

    def lines(self) -> list[str]:
        since = "not known" if self.age_s is None else f"{self.cut_over_at:%Y-%m-%d %H:%M:%S%z}, {_time(self.age_s)} ago"
        v = self.verification
        said = f"{v.verdict} ({v.method}, {v.direction}), {_time(v.age_s)} ago" if v else "none since the cutover"
        return [f"cut over: {since}; verified: {said}", *(f"goes for good: {g}" for g in self.goes)]

    def document(self) -> dict[str, object]:
        v = self.verification
        return {
            "cut_over_at": self.cut_over_at.isoformat() if self.cut_over_at else None,
            "verification": {"verdict": v.verdict, "age_s": round(v.age_s, 1), "direction": v.direction} if v else None,
            "dropped": [{"table": str(g.table), "column": g.column, "rows": g.rows} for g in self.goes],
        }


def _time(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "h")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.0f} s"


def what_goes(migration: Migration, *, drop_legacy: bool) -> WhatGoes:
    """With `drop_legacy` scans every table that has an integer column (ACCESS SHARE)."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    at = journal.attempts.exchanged_at(run.id)
    last = journal.verifications.last(run.id)
    since = last is not None and at is not None and last.finished_at > at
    goes = [*_tables(conn, [t.retired for t in run.plan.swapped]), *(_columns(conn, run.plan) if drop_legacy else [])]
    return WhatGoes(tuple(goes), at, journal.attempts.exchanged_s(run.id), last if since else None)


def check_age(found: WhatGoes, min_age_s: int) -> None:
    """Raises RefusedError while the cutover is younger than [finalize] min_age_s."""
    if min_age_s and (found.age_s is None or found.age_s < min_age_s):
        age = "not known" if found.age_s is None else f"{found.age_s:,.0f} s ago"
        raise RefusedError(
            f"The cutover was {age}; [finalize] min_age_s asks for {min_age_s:,} s.",
            hint="Wait: until then a revert loses nothing. Or set another [finalize] min_age_s.",
        )


def check_values(found: WhatGoes, accepted: Collection[str]) -> None:
    """Raises RefusedError, with the full list, while an integer that is about to go has no uuid beside it."""
    alone = [g for g in found.goes if g.alone and f"{ACCEPT}{g.name}" not in accepted]
    if alone:
        kept = alone[0].table.renamed(derive(alone[0].table.name, "_kept"))
        said = "; ".join(f"{g.name} holds {g.alone:,} of {g.rows:,} integers" for g in alone)
        raise RefusedError(
            f"Integers without a uuid beside them would be lost: {said}.",
            hint="They are keys of another type, or of rows that do not exist. Finalize without --drop-legacy, or copy them to a table of"
            f" your own (CREATE TABLE {kept} AS SELECT * FROM {alone[0].table} WHERE {quote(alone[0].uuid)} IS NULL);"
            f' then take on that they go here: [accept] findings = ["{ACCEPT}{alone[0].name}"].',
        )


class _Table(NamedTuple):
    schema: str
    name: str
    rows: int
    columns: tuple[str, ...]


def _tables(conn: Connection, tables: list[TableName]) -> list[Goes]:
    return [Goes(TableName(t.schema, t.name), None, t.rows) for t in _read(conn, tables)]


def _read(conn: Connection, tables: Collection[TableName]) -> list[_Table]:
    """Those that are there."""
    names = sorted(set(tables))
    query = load_sql("cutover", "tables_that_go.sql")
    return fetch(conn, _Table, query, {"schemas": [t.schema for t in names], "names": [t.name for t in names]})


class _Values(NamedTuple):
    integers: int
    alone: int


def _columns(conn: Connection, plan: Plan) -> list[Goes]:
    """Every integer column that is still there."""
    pairs = [(plan.source, plan.legacy_key, plan.key)]
    pairs += [(r.table, r.legacy_column, r.column) for r in plan.all_references if not r.companion]
    there = {TableName(t.schema, t.name): t.columns for t in _read(conn, [table for table, _, _ in pairs])}
    out = []
    for table, integer, uuid in pairs:
        if {integer, uuid} <= set(there.get(table, ())):
            names = {"table": table.sql, "integer": sql.Identifier(integer), "uuid": sql.Identifier(uuid)}
            (found,) = fetch(conn, _Values, load_sql("cutover", "legacy_values.sql").format(**names))
            out.append(Goes(table, integer, found.integers, found.alone, uuid))
    return out
