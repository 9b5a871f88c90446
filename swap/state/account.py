"""What a run's journal tells about its course, for a report: chunks, exchanges, verifications, hooks, events. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.state.journal import Journal, Run


@dataclass(frozen=True)
class Account:
    """`chunks`: (when, rows) of each; the others: rows of the journal, by the names of its columns, oldest first."""

    chunks: tuple[tuple[datetime, int], ...]
    attempts: tuple[dict[str, Any], ...]
    verifications: tuple[dict[str, Any], ...]
    hooks: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    changed_at: datetime


def read_account(journal: Journal, run: Run) -> Account:
    t = journal.t
    v, h, r = t["verification"], t["hook"], t["run"]
    return Account(
        chunks=tuple(_chunks(journal, run.id)),
        attempts=_rows(journal, run.id, t["attempt"], "at", "kind", "outcome", "detail"),
        verifications=tuple(
            journal.rows(
                sa.select(v.c.id, v.c.method, v.c.direction, v.c.verdict, v.c.repaired, v.c.started_at, v.c.finished_at)
                .where(v.c.run_id == run.id).order_by(v.c.id), dict,
            )
        ),
        hooks=tuple(
            journal.rows(
                sa.select(h.c.name, h.c.exit_code, h.c.snapshot, h.c.started_at, h.c.finished_at).where(h.c.run_id == run.id).order_by(h.c.id), dict,
            )
        ),
        events=_rows(journal, run.id, t["event"], "at", "kind", "message"),
        changed_at=journal.value(sa.select(r.c.changed_at).where(r.c.id == run.id)),
    )  # fmt: skip


def chunk_times(conn: Connection, schema: str, source: TableName) -> list[tuple[float, int]]:
    """(seconds since the epoch, rows) of each chunk of the newest run; nothing where there is none."""
    journal = Journal(conn, schema, source)
    run = journal.current(source) if journal.exists() else None
    return [] if run is None else [(at.timestamp(), rows) for at, rows in _chunks(journal, run.id)]


def _chunks(journal: Journal, run_id: int) -> list[tuple[datetime, int]]:
    c = journal.t["chunk"]
    query = sa.select(c.c.done_at, c.c.rows).where(c.c.run_id == run_id, c.c.done_at.is_not(None)).order_by(c.c.done_at)
    return journal.rows(query, lambda done_at, rows: (done_at, int(rows or 0)))


def _rows(journal: Journal, run_id: int, table: sa.Table, *names: str) -> tuple[dict[str, Any], ...]:
    query = sa.select(*(table.c[n] for n in names)).where(table.c.run_id == run_id).order_by(table.c.id)
    return tuple(journal.rows(query, dict))
