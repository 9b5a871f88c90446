"""Named checks that follow from the catalog: pure functions of what was loaded, plus the few that ask the server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.catalog.model import Table
from swap.catalog.query import query
from swap.core.advisory_locks import WORKER
from swap.core.connection import Connection
from swap.core.names import TableName, parse_table
from swap.core.sql_text import load_sql
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from verify.references import ReferenceResult
from verify.report import CheckResult

_NEXTVAL = re.compile(r"nextval\('((?:[^']|'')+)'::regclass\)")


def check(name: str, problems: Sequence[str], good: str) -> CheckResult:
    """`failed` with every problem, or `ok` with what was looked at."""
    return CheckResult(name, "failed", "; ".join(problems)) if problems else CheckResult(name, "ok", good)


def indexes_valid(tables: Iterable[Table]) -> CheckResult:
    indexes = [(t, i) for t in tables for i in t.indexes]
    problems = [f"{t.name}: {i.name} is not valid" for t, i in indexes if not i.valid]
    return check("indexes_valid", problems, f"{len(indexes)} indexes are valid and ready")


def foreign_keys_valid(conn: Connection, plan: Plan, tables: Iterable[Table]) -> CheckResult:
    """Every foreign key that was validated before `prepare` and is there is validated now."""
    was_valid = {(f.table, f.name) for f in plan.catalog.foreign_keys if f.validated}
    now = [
        (TableName(r["schema"], r["relation"]), r["name"], r["validated"])
        for r in query(conn, "constraints.sql", oids=[t.oid for t in tables])
        if r["kind"] == "f"
    ]
    judged = [(t, n, valid) for t, n, valid in now if (t, n) in was_valid]
    problems = [f"{t}: {n} is not validated" for t, n, valid in judged if not valid]
    return check("foreign_keys_valid", problems, f"{len(judged)} foreign keys are valid")


def sequences_ahead(conn: Connection, plan: Plan, d: TableMapping) -> CheckResult:
    """The next value of the integer key's sequence is beyond every key. Sequences are not transactional: its
    position is read after the keys' snapshot, so it can only be further on."""
    name = key_sequence(plan)
    if name is None:
        return CheckResult("sequences_ahead", "ok", f"{d.origin}.{d.origin_key} has no sequence")
    row = conn.execute(
        load_sql("verify", "sequence.sql").format(
            sequence=name.sql, name=sql.Literal(str(name)), table=d.origin.sql, key=sql.Identifier(d.origin_key)
        )
    ).fetchone()
    if row is None:
        return CheckResult("sequences_ahead", "failed", f"there is no sequence {name}")
    low, high, last, called, increment = row
    extreme = high if increment > 0 else low
    ahead = extreme is None or (last - extreme) * increment > 0 or (last == extreme and called)
    problems = [] if ahead else [f"{name} is at {last}, {d.origin} has {extreme}"]
    return check("sequences_ahead", problems, f"{name} is at {last}, the keys end at {extreme}")


def key_sequence(plan: Plan) -> TableName | None:
    """The sequence the integer key comes from: the one its default names, which another table may own, or its own."""
    column = plan.source_table.column(plan.key)
    found = _NEXTVAL.search(column.default or "") if column else None
    if found:
        return parse_table(found.group(1).replace("''", "'"))
    return next((s.name for s in plan.source_table.sequences if s.column == plan.key), None)


def no_direct_writer(conn: Connection, plan: Plan, target: Table) -> CheckResult:
    """Nobody but replay writes to the maintained table: no other role may, and no other session is at it. What its owner
    or a superuser wrote and did not undo is what the comparison of the rows finds."""
    rows = conn.execute(
        load_sql("verify", "writers.sql"), {"oid": target.oid, "worker": WORKER, "tag": plan.tag & 0x7FFFFFFF}
    ).fetchall()
    return check("no_direct_writer", [f"{target.name}: {r[0]}" for r in rows], f"only replay writes to {target.name}")


def reference_checks(results: Sequence[ReferenceResult]) -> list[CheckResult]:
    """What the comparison of the references says, by name."""
    rows = sum(r.rows for r in results)
    wrong = [f"{r.pair.label}: {r.wrong} of {r.rows} rows" for r in results if r.wrong]
    nulls = [f"{r.pair.table}.{r.pair.uuid}: {r.nulls} rows" for r in results if r.pair.not_null and r.nulls]
    orphans = [r for r in results if r.orphans]
    lines = [f"{r.pair.label}: {r.orphans} rows whose key is nobody's" for r in orphans]
    held = [r for r in orphans if not r.pair.declared]
    no_orphans = CheckResult("no_orphans", "warning", "; ".join(lines)) if lines else CheckResult("no_orphans", "ok", "none")
    return [
        check("references_resolve", wrong, f"{rows} rows of {len(results)} references resolve to the same row"),
        check("no_null_where_none_was", nulls, "every reference that must not be NULL has a uuid"),
        CheckResult("no_orphans", "failed", "; ".join(lines)) if held else no_orphans,
    ]
