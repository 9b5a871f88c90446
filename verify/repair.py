"""Repair: queues the keys that differ like any changed key, and the ordinary replay makes their rows equal; mends references.

It writes nothing to the maintained tables. A reference in place is mended there, in the direction that leads: before the cutover the
integer, after it the uuid. Where the leading side is NULL the row says only what the other side says, so the leading one follows. A row
whose leading side belongs to no row, while the other side belongs to one, contradicts itself: it is only reported (H19).

A verification that repaired needs another clean verification: a retry never turns a difference into a pass (invariant 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

from swap.catalog.load import load_tables
from swap.core.application_settings import execute_as_application, explained
from swap.core.connection import may_set
from swap.core.errors import LockError
from swap.core.lock_retries import with_lock_retries
from swap.core.sql_text import Query, load_sql, verbatim
from swap.ddl.change_tables import queue_keys, queue_rows
from swap.ddl.text_references import TextPair
from swap.plan import row_keys
from swap.plan.backfill_triggers import SUPPRESS
from swap.plan.direction import Direction, table_mappings
from swap.plan.model import Plan, RefColumns
from swap.plan.row_keys import Key
from swap.state.migration import Migration
from verify.ranges import bigints
from verify.references import ReferencePair, reference_pairs
from verify.report import Report, RowDifference
from verify.table_files import table_files

ROWS = 5000  # of one transaction
KEPT = "What was mended before stays, and the journal does not know of it: another verification does."


@dataclass(frozen=True)
class Repaired:
    """How many keys were queued for replay, and how many rows of references were mended."""

    keys: int
    references: int

    def __bool__(self) -> bool:
        return bool(self.keys or self.references)


Repairable = Mapping[int, set[Key]]  # keys of each swapped table, by its number


def repair_statement(plan: Plan, keys: Repairable) -> sql.Composed:
    """The statements that queue the keys. A dry run prints them."""
    return sql.SQL("; ").join(_queue(plan, number, sorted(of_table)) for number, of_table in sorted(keys.items()))


def _queue(plan: Plan, number: int, keys: list[Key]) -> sql.Composed:
    if number == 0:
        return queue_keys(plan, bigints([k for k in keys if isinstance(k, int)]))
    key = table_mappings(plan, Direction.FORWARD)[number].key
    arrays = row_keys.COMMA.join(row_keys.arrays(key, keys))
    return queue_rows(plan, number, key, sql.SQL("SELECT * FROM unnest({})").format(arrays))


def repairable(plan: Plan, differences: Iterable[RowDifference]) -> Repairable:
    """The keys of the swapped tables for which replay can make the rows equal."""
    numbers = {str(t.name): t.number for t in plan.swapped}
    keys: dict[int, set[Key]] = {}
    for d in differences:
        if d.table in numbers and d.kind != "mapping" and not isinstance(d.key, str):
            keys.setdefault(numbers[d.table], set()).add(d.key)
    return keys


@dataclass(frozen=True)
class Mend:
    """`update`: mends some rows of one reference, those that no other session holds; `left`: counts them."""

    pair: ReferencePair
    update: Query
    left: Query


def reference_repairs(m: Migration, report: Report) -> list[Mend]:
    """The statements that mend the references of which the report lists a row. A dry run prints them."""
    wrong = {(d.table, d.columns) for d in report.findings if d.kind == "mapping"}
    heaps = [h.name for r in m.plan.references for h in m.plan.catalog.table(r.table).heaps]
    oids = [file.oid for file in table_files(m.conn, {m.plan.source, *heaps}).values()]
    tables = {t.name: t for t in load_tables(m.conn, oids)}
    if not all(h in tables for h in (m.plan.source, *heaps)):
        return []
    pairs = reference_pairs(m.plan, m.direction, tables)
    named = [p for p in pairs if (str(p.table), (p.integer, p.uuid)) in wrong]
    refs = {r.columns.number: r.columns for r in m.plan.references}
    return [mend for p in named for mend in _mends(p, m.direction, m.plan, refs[p.number])]


def _mends(pair: ReferencePair, direction: Direction, plan: Plan, ref: RefColumns) -> list[Mend]:
    """First what the leading side says; then, where that is NULL, what the other says."""
    if ref.text:
        return [Mend(pair, *TextPair(plan, ref, direction).repair(pair.table, ROWS))]
    integer, uuid = (pair.integer, pair.live_integer), (pair.uuid, pair.live_uuid)
    leading, following = (integer, uuid) if direction is Direction.FORWARD else (uuid, integer)
    empty = sql.SQL("({}) AND {} IS NULL").format(verbatim(pair.where or "true"), sql.Identifier(leading[0]))
    return [
        _statement(pair, leading, following, verbatim(pair.where or "true")),
        _statement(pair, following, leading, empty),
    ]


def _statement(pair: ReferencePair, leader: tuple[str, str], follower: tuple[str, str], applies: sql.Composable) -> Mend:
    live_leader, live_follower = sql.Identifier("l", leader[1]), sql.Identifier("l", follower[1])
    names = {
        n: sql.Identifier(pair.table.schema, pair.table.name, c) for n, c in (("leader", leader[0]), ("follower", follower[0]))
    }
    # Over the bare table, so that no column name in the reference's `where` is ambiguous.
    wrong = sql.SQL(
        "({applies}) AND EXISTS (SELECT FROM ONLY {live} l WHERE {live_leader} OPERATOR(pg_catalog.=) {leader}"
        " AND ({follower} OPERATOR(pg_catalog.=) {live_follower}) IS NOT TRUE)"
    ).format(applies=applies, live=pair.live.sql, live_leader=live_leader, live_follower=live_follower, **names)
    update = load_sql("verify", "repair_reference.sql").format(
        table=pair.table.sql, live=pair.live.sql, leader=sql.Identifier(leader[0]), live_leader=sql.Identifier(leader[1]),
        follower=sql.Identifier(follower[0]), live_follower=sql.Identifier(follower[1]), wrong=wrong, limit=sql.Literal(ROWS),
    )  # fmt: skip
    return Mend(pair, update, sql.SQL("SELECT count(*) FROM ONLY {} WHERE {}").format(pair.table.sql, wrong))


def repair(m: Migration, report: Report) -> Repaired:
    """Queue the keys that differ, mend the references, and note it on the verification's row.

    Replay cannot tell the two rows of a key that is there twice apart. Such a key differs until the surplus row is gone. The rows of
    a reference are mended in small transactions, none of which waits for a row (H62). Raises LockError where others keep some.
    """
    keys = repairable(m.plan, report.findings)
    number = sum(map(len, keys.values()))
    if keys:
        with m.conn.transaction():
            m.conn.execute(repair_statement(m.plan, keys))
            _note(m, report, f"{number} keys queued for replay")
    return Repaired(number, sum(_mended(m, report, mend) for mend in reference_repairs(m, report)))


def _mended(m: Migration, report: Report, mend: Mend) -> int:
    rows, left = 0, _count(m, mend)
    for tried in range(m.budget.max_attempts + 1):
        if tried and left:
            m.report.waiting(f"{mend.pair.label}: others hold rows that are to be mended")
            m.stop.wait(m.budget.lock_timeout_ms / 1000)
        while left > 0 and (
            some := with_lock_retries(m.conn, [], f"lock on {mend.pair.table}", m.budget, lambda: _some(m, report, mend))
        ):
            rows, left = rows + some, left - some
        left = _count(m, mend)
        m.report.waiting("")
        if not left:
            return rows
    raise LockError(
        f"{left} rows of {mend.pair.table} are still to be mended: other sessions hold them, or a trigger changes them back.",
        state=KEPT,
    )


def _count(m: Migration, mend: Mend) -> int:
    row = m.conn.execute(mend.left).fetchone()
    return int(row[0]) if row else 0


def _some(m: Migration, report: Report, mend: Mend) -> int:
    m.conn.execute(verbatim(SUPPRESS if may_set(m.conn, "session_replication_role") else "SELECT"))
    with explained(f"Rows of {mend.pair.table} could not be mended", KEPT):
        count = execute_as_application(m.conn, mend.update, m.plan.settings)
    if count:
        _note(m, report, f"{count} rows of {mend.pair.label} mended")
    return count


def _note(m: Migration, report: Report, what: str) -> None:
    m.journal.verifications.mark_repaired(report.id)
    m.journal.event(m.run.id, "repair", what)
