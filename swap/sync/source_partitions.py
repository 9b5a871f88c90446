"""The partitions of a partitioned source as they are now, against the plan's: they are not followed, so any other set is refused."""

from __future__ import annotations

from swap.core.errors import RefusedError
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql
from swap.plan.direction import Direction
from swap.state.migration import Migration

STATE = "Nothing of the batch was applied; the changes stay in the queue."


def refuse_other_partitions(migration: Migration, state: str = STATE) -> None:
    """Raises RefusedError where partitions of the source have come or gone since `prepare`, with the statement that goes back. One query
    of the catalog where the source is partitioned, else none."""
    plan = migration.plan
    t = plan.swapped[0]
    if not t.partitioned:
        return
    names = {"schemas": [t.name.schema], "names": [t.name.name]}
    rows = migration.conn.execute(load_sql("swap.sync", "partition_trees.sql"), names).fetchall()
    now = [TableName(schema, name) for _, _, schema, name, *_ in rows]
    known = [p.name for p in t.partitions]
    come, gone = [n for n in now if n not in known], [n for n in known if n not in now]
    if come:
        raise RefusedError(
            f"{_listed(come)} came as a partition of {t.name} since `prepare`: the other side has none like it.",
            state=state,
            hint=f"{' '.join(_detach(migration, n) for n in come)} Create partitions ahead of `prepare`, or have a default one.",
        )
    if gone:
        raise RefusedError(
            f"{_listed(gone)} is no partition of {t.name} any more: no trigger told of its rows.",
            state=state,
            hint=_without(migration, gone),
        )


def _listed(names: list[TableName]) -> str:
    return ", ".join(map(str, names))


def _detach(migration: Migration, name: TableName) -> str:
    """The statement that makes a new partition a table of its own; its rows stay in it."""
    row = migration.conn.execute(
        "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = to_regclass(%s)",
        [f"{quote(name.schema)}.{quote(name.name)}"],
    ).fetchone()
    above = row[0] if row else str(migration.plan.source)
    return f"ALTER TABLE {above} DETACH PARTITION {name};"


def _without(migration: Migration, gone: list[TableName]) -> str:
    if migration.direction is Direction.FORWARD:
        return "Run `swap abort`, then `swap prepare`: even when it is attached again, what was written to it meanwhile is not known."
    return f"A revert is not possible without {gone[0]}; `swap finalize` ends the run."
