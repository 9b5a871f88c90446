"""Named checks that follow from the catalog: pure functions of loaded tables, and a few that ask the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from psycopg import sql

from swap.catalog.key_sequence import key_sequence
from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch, fetch_rows
from swap.core.sql_text import load_sql
from swap.plan.direction import Direction, TableMapping
from swap.plan.model import Plan
from swap.state.locks import WORKER
from verify.capture import find_faults
from verify.references import ReferenceResult
from verify.report import CheckResult


def check(name: str, problems: Sequence[str], good: str) -> CheckResult:
    """`failed` with every problem, or `ok` with what was checked."""
    return CheckResult(name, "failed", "; ".join(problems)) if problems else CheckResult(name, "ok", good)


def indexes_valid(tables: Iterable[Table]) -> CheckResult:
    indexes = [(t, i) for t in tables for i in t.indexes]
    problems = [f"{t.name}: {i.name} is not valid" for t, i in indexes if not i.valid]
    return check("indexes_valid", problems, f"{len(indexes)} indexes are valid and ready")


class _ForeignKeyRow(NamedTuple):
    schema: str
    table: str
    name: str
    validated: bool


def foreign_keys_valid(conn: Connection, plan: Plan, tables: Iterable[Table]) -> CheckResult:
    """Every foreign key that was validated before `prepare` and still exists is validated now."""
    was_valid = {(f.table, f.name) for f in plan.catalog.foreign_keys if f.validated}
    keys = fetch(conn, _ForeignKeyRow, load_sql("verify", "foreign_keys.sql"), {"oids": [t.oid for t in tables]})
    judged = [k for k in keys if (TableName(k.schema, k.table), k.name) in was_valid]
    problems = [f"{TableName(k.schema, k.table)}: {k.name} is not validated" for k in judged if not k.validated]
    return check("foreign_keys_valid", problems, f"{len(judged)} foreign keys are valid")


def capture_installed(
    conn: Connection, plan: Plan, direction: Direction, oids: Mapping[TableName, int], baseline: list[tuple[str, str]]
) -> CheckResult:
    """`oids`: of the live tables and of those with references in place."""
    problems = [f.detail for f in find_faults(conn, plan, direction, oids, baseline)]
    return check("capture_installed", problems, "every trigger that captures or guards is enabled and unaltered")


class _SequenceRow(NamedTuple):
    lowest_key: int | None
    highest_key: int | None
    last_value: int
    is_called: bool
    increment: int


def sequences_ahead(conn: Connection, plan: Plan, mapping: TableMapping, *, was_behind: bool) -> CheckResult:
    """The next value of the integer key's sequence is beyond every key. A sequence is not transactional: its position is read
    after the snapshot of the keys, so it can only be further on.

    Before the cutover the sequence is the application's own, and one behind its keys (an import, hilo) is a warning: keys come after
    the cutover as they did before (H67). After it, a position that was lost there would be a failure; `was_behind`: it was not."""
    name = key_sequence(plan.source_table, plan.key)
    if name is None:
        return CheckResult("sequences_ahead", "ok", f"{mapping.origin}.{mapping.origin_key} has no sequence")
    query = load_sql("verify", "sequence.sql").format(
        sequence=name.sql, name=sql.Literal(str(name)), table=mapping.origin_rows, key=sql.Identifier(mapping.origin_key)
    )
    rows = fetch(conn, _SequenceRow, query)
    if not rows:
        return CheckResult("sequences_ahead", "failed", f"there is no sequence {name}")
    (row,) = rows
    end = row.highest_key if row.increment > 0 else row.lowest_key
    ahead = (
        end is None or (row.last_value - end) * row.increment > 0 or (row.last_value == end and row.is_called)
    )  # fmt: skip
    at = f"{name} is at {row.last_value}, {mapping.origin} has {end}"
    if not ahead and was_behind:
        return CheckResult("sequences_ahead", "warning", f"{at}, as before the cutover")
    problems = [] if ahead else [f"{at}; it was ahead of its keys before the cutover: SELECT setval('{name}', {end});"]
    return check("sequences_ahead", problems, f"{name} is at {row.last_value}, the keys end at {end}")


def no_direct_writer(conn: Connection, plan: Plan, targets: Sequence[Table]) -> CheckResult:
    """Only replay writes to the maintained tables: no other role may write to them, and no other session is doing so. The
    comparison of the rows finds everything that the owner or a superuser wrote and did not undo."""
    query = load_sql("verify", "writers.sql").format(
        oids=sql.Literal([t.oid for t in targets]),
        lock=sql.Identifier(plan.state_schema, "lock"),
        worker=sql.Literal(WORKER),
        tag=sql.Literal(plan.tag),
    )
    found = fetch_rows(conn, query)
    problems = [f"{t.name}: {row['writer']}" for t in targets for row in found if row["oid"] == t.oid]
    return check("no_direct_writer", problems, f"only replay writes to {', '.join(str(t.name) for t in targets)}")


def reference_checks(results: Sequence[ReferenceResult]) -> list[CheckResult]:
    """The named checks that follow from the comparison of the references."""
    rows = sum(r.rows for r in results)
    wrong = [f"{r.pair.label}: {r.wrong} of {r.rows} rows" for r in results if r.wrong]
    nulls = [f"{r.pair.table}.{r.pair.uuid}: {r.nulls} rows" for r in results if r.pair.not_null and r.nulls]
    return [
        check("references_resolve", wrong, f"{rows} rows of {len(results)} references resolve to the same row"),
        check("no_null_where_none_was", nulls, "every reference that must not be NULL has a uuid"),
    ]
