"""Tables that another session dropped from under a run (H38): the state schema, the queue, the maintained table.

A missing table is no drift of a structure, and nothing reads it while the application does not write: a `sync` without
work would report for ever that it has caught up. So commands look for these tables, and name the missing one with the way
on from there.
"""

from __future__ import annotations

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName, expand, quote
from swap.plan.direction import table_mappings
from swap.state.journal import Journal, Phase, Run
from swap.state.tables import SINCE

RUNBOOK = "RUNBOOK.md, 'Something was dropped'"
KEPT = (Phase.PREPARED, Phase.BACKFILLING, Phase.SYNCING, Phase.CUT_OVER)


def _missing(conn: Connection, names: list[TableName]) -> list[TableName]:
    found = {
        TableName(*r)
        for r in conn.execute(
            "SELECT n.nspname::text, c.relname::text FROM unnest(%s::text[], %s::text[]) w(schema, name)"
            " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name",
            [[n.schema for n in names], [n.name for n in names]],
        )
    }
    return [n for n in names if n not in found]


def missing_tables(journal: Journal, run: Run) -> list[TableName]:
    """Tables that the run needs and that are not there, the state schema's first."""
    if run.phase not in KEPT:
        return []
    state = [TableName(journal.schema, name) for name in journal.t if SINCE.get(name, 0) <= journal.version]
    maintained = [d.target for d in table_mappings(run.plan, run.direction)]
    return _missing(journal.conn, [*state, *_queue(run), *maintained])


def _queue(run: Run) -> list[TableName]:
    return [run.plan.change_table(n, t.number) for t in run.plan.swapped for n in (0, 1)]


def refuse_missing(journal: Journal, run: Run) -> None:
    """Raises RefusedError naming what is missing, what that means for the application, and the way on."""
    missing = missing_tables(journal, run)
    if not missing:
        return
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    state = "Writes of the application go on."
    of_state = {n for n in missing if n.schema == journal.schema}
    if of_state and run.mode == "logical" and of_state <= set(_queue(run)):
        state += " The server keeps WAL for the replication slot until the run has ended."
    elif of_state:
        state = (
            f"Writes of the application to {run.source} may fail: the triggers on it need what was in {quote(journal.schema)}."
        )
    way = "`swap abort` removes the rest; then `swap prepare` begins again"
    if run.phase is Phase.CUT_OVER:
        way = "There is no revert without it. `swap finalize` ends the run, with the new key"
    raise RefusedError(f"{missing[0]} is gone{more}: another session dropped it.", state=state, hint=f"{way}. {RUNBOOK}.")


def left_over(conn: Connection, config: Config) -> str:
    """Where there is no run: a table that one must have left behind, as a clause; else nothing."""
    source = config.source.name
    names = [source.renamed(expand(n, source.name)) for n in (config.names.shadow, config.names.retired)]
    there = [n for n in names if n not in _missing(conn, names)]
    if not there:
        return ""
    return f"{there[0]} exists: if swap made it, another session has dropped the schema {quote(config.names.state_schema)}: {RUNBOOK}."
