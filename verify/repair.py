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
from swap.core.lock_retries import with_lock_retries
from swap.core.sql_text import Query, load_sql, verbatim
from swap.ddl.change_tables import queue_keys, queue_rows
from swap.plan import row_keys
from swap.plan.backfill_triggers import SUPPRESS
from swap.plan.direction import Direction, table_mappings
from swap.plan.model import Plan
from swap.plan.row_keys import Key
from swap.state.migration import Migration
from verify.ranges import bigints
from verify.references import ReferencePair, reference_pairs
from verify.report import Report, RowDifference
from verify.table_files import table_files

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


def reference_repairs(m: Migration, report: Report) -> list[tuple[ReferencePair, Query]]:
    """The statements that mend the references of which the report lists a row. A dry run prints them."""
    wrong = {(d.table, d.columns) for d in report.findings if d.kind == "mapping"}
    heaps = [h.name for r in m.plan.references for h in m.plan.catalog.table(r.table).heaps]
    oids = [file.oid for file in table_files(m.conn, {m.plan.source, *heaps}).values()]
    tables = {t.name: t for t in load_tables(m.conn, oids)}
    if not all(h in tables for h in (m.plan.source, *heaps)):
        return []
    pairs = reference_pairs(m.plan, m.direction, tables)
    named = [p for p in pairs if (str(p.table), (p.integer, p.uuid)) in wrong]
    return [(p, s) for p in named for s in _mend(p, m.direction)]


def _mend(pair: ReferencePair, direction: Direction) -> list[Query]:
    """First what the leading side says; then, where that is NULL, what the other says."""
    integer, uuid = (pair.integer, pair.live_integer), (pair.uuid, pair.live_uuid)
    leading, following = (integer, uuid) if direction is Direction.FORWARD else (uuid, integer)
    empty = sql.SQL("({}) AND {} IS NULL").format(verbatim(pair.where or "true"), sql.Identifier(leading[0]))
    return [
        _statement(pair, leading, following, verbatim(pair.where or "true")),
        _statement(pair, following, leading, empty),
    ]


def _statement(pair: ReferencePair, leader: tuple[str, str], follower: tuple[str, str], applies: sql.Composable) -> Query:
    return load_sql("verify", "repair_reference.sql").format(
        table=pair.table.sql, live=pair.live.sql, leader=sql.Identifier(leader[0]), live_leader=sql.Identifier(leader[1]),
        follower=sql.Identifier(follower[0]), live_follower=sql.Identifier(follower[1]), applies=applies,
    )  # fmt: skip


def repair(m: Migration, report: Report) -> Repaired:
    """Queue the keys that differ, mend the references, and note it on the verification's row.

    Replay cannot tell the two rows of a key that is there twice apart. Such a key differs until the surplus row is gone. The rows of
    a reference are locked as the backfill locks them: an attempt waits no longer than `lock_timeout_ms`. Raises LockError.
    """
    keys = repairable(m.plan, report.findings)
    number = sum(map(len, keys.values()))
    if keys:
        with m.conn.transaction():
            m.conn.execute(repair_statement(m.plan, keys))
            _note(m, report, f"{number} keys queued for replay")
    rows = sum(_mended(m, report, pair, statement) for pair, statement in reference_repairs(m, report))
    return Repaired(number, rows)


def _mended(m: Migration, report: Report, pair: ReferencePair, statement: Query) -> int:
    quiet = SUPPRESS if may_set(m.conn, "session_replication_role") else "SELECT"

    def body() -> int:
        m.conn.execute(verbatim(quiet))
        with explained(f"Rows of {pair.table} could not be mended", KEPT):
            count = execute_as_application(m.conn, statement, m.plan.settings)
        if count:
            _note(m, report, f"{count} rows of {pair.label} mended")
        return count

    return with_lock_retries(m.conn, [], f"lock on rows of {pair.table}", m.budget, body)


def _note(m: Migration, report: Report, what: str) -> None:
    m.journal.verifications.mark_repaired(report.id)
    m.journal.event(m.run.id, "repair", what)
