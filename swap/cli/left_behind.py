"""What a run leaves in the application's tables when it has ended: old versions of the rows that were filled in place, and statistics of
before."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from cutover.stale_statistics import Stale, stale_statistics
from swap.cli.status_progress import filled
from swap.core.units import counted
from swap.state.journal import Journal, Run


@dataclass(frozen=True)
class Left:
    """`columns`: each column that was filled, and in how many rows. `stale`: tables whose statistics are old."""

    columns: tuple[tuple[str, int], ...] = ()
    stale: tuple[Stale, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "left": [{"column": c, "rows": n} for c, n in self.columns],
            "statistics": [
                {
                    "table": str(s.table),
                    "changed_rows": s.changed,
                    "analyzed_at": s.analyzed_at.isoformat() if s.analyzed_at else None,
                }
                for s in self.stale
            ],
        }

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{column}: {counted(rows, 'row')} were filled, so as many old versions of rows were left behind. Autovacuum frees their space"
            " for new rows; VACUUM FULL or pg_repack gives it back"
            for column, rows in self.columns
        ] + [
            f"{s.table}: {counted(s.changed, 'row')} changed since its statistics were taken; autovacuum takes them anew, or `ANALYZE"
            f" {s.table}` now"
            for s in self.stale
        ]


def left_behind(journal: Journal, run: Run) -> Left:
    """No columns where the state schema is gone."""
    plan = run.plan
    tables = [*(t.name for t in plan.swapped), *(r.table for r in plan.all_references)]
    columns, stale = list[tuple[str, int]](), list[Stale]()
    with suppress(psycopg.errors.UndefinedTable):
        columns = filled(journal, run)
    with suppress(psycopg.Error):  # the command has done its work: what only informs does not fail it
        stale = stale_statistics(journal.conn, tables)
    return Left(tuple(columns), tuple(stale))
