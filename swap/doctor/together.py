"""Several tables in one database: which of them can be migrated at the same time.

No table takes part in two runs (H42; `swap.doctor.state` refuses it). A run has its source and every table that refers to it. So
two sources whose runs have a table in common go one after the other, and one that refers to the other always does.
"""

from __future__ import annotations

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.names import TableName, parse_table
from swap.doctor.finding import read
from swap.state.journal import Run


def tables_of(run: Run) -> set[TableName]:
    return {run.plan.source, *(r.table for r in run.plan.all_references)}


def tables_without_run(conn: Connection, config: Config) -> set[TableName]:
    """Those that a run would have."""
    source = config.source.name
    referring = read(conn, TableName, "together.sql", schema=source.schema, name=source.name)
    return {source, *referring, *(parse_table(r.table) for r in config.reference)}
