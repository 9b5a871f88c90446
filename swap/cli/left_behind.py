"""What a run leaves in the application's tables when it has ended: old versions of the rows that were filled in place."""

from __future__ import annotations

import psycopg

from swap.cli.status_progress import filled
from swap.core.units import counted
from swap.state.journal import Journal, Run


def left_behind(journal: Journal, run: Run) -> list[tuple[str, int]]:
    """Each column that was filled, and in how many rows; nothing where the state schema is gone."""
    try:
        return filled(journal, run)
    except psycopg.errors.UndefinedTable:
        return []


def left_lines(left: list[tuple[str, int]]) -> list[str]:
    """The same for people."""
    return [
        f"{column}: {counted(rows, 'row')} were filled, so as many old versions of rows were left behind. Autovacuum frees their space for new"
        " rows; VACUUM FULL or pg_repack gives it back"
        for column, rows in left
    ]
