"""`swap doctor`: every preflight check, as findings.

It changes nothing. Definitions are tried out in temporary tables of transactions that are rolled back; data is read in
read-only transactions with a time limit.

Without a run of the source: can one begin (swap.doctor.before_run)? While a run exists, its own objects have the names that have
to be free before it, and after the cutover the key is a uuid. Then only the checks that hold in every phase are made
(swap.doctor.during_run).
"""

from __future__ import annotations

import psycopg

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import LockError
from swap.core.session_settings import SETTINGS
from swap.doctor.accept import refuse, with_accepted
from swap.doctor.before_run import SCAN_TIMEOUT_MS, Options, TrialBuild, check_before_run
from swap.doctor.clients import check_clients
from swap.doctor.during_run import check_during_run
from swap.doctor.exact_reads import check_exact_reads
from swap.doctor.finding import Finding
from swap.doctor.pooler import check_pooler
from swap.doctor.replication import check_slots
from swap.doctor.server import check_server, check_version, read_server
from swap.doctor.state import OVER, check_state
from swap.state.journal import Phase

__all__ = ["Finding", "examine", "refuse"]

LOCK_WAIT_MS = 5_000  # the server takes ACCESS SHARE on a table to print its definitions


def examine(
    conn: Connection, config: Config, *,
    scan_timeout_ms: int = SCAN_TIMEOUT_MS, trial: TrialBuild | None = None, show_queries: bool = False,
) -> list[Finding]:  # fmt: skip
    """Every finding, those of status ok too. Each scan holds ACCESS SHARE on its table for `scan_timeout_ms` at most.

    `trial`: builds the whole target schema and rolls it back (swap.doctor.trial.build). Without it the schema is not tried out.
    `show_queries`: findings hold the text of other sessions' queries, and so perhaps values of rows.

    Raises UsageError when the source does not exist, and LockError when a table is locked against reading.
    """
    conn.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_WAIT_MS}ms"])
    try:
        found = _examine(conn, config, Options(scan_timeout_ms, trial, show_queries))
        return with_accepted(found, config, tried=trial is not None)
    except psycopg.errors.LockNotAvailable as e:
        hint = "Another session holds ACCESS EXCLUSIVE (DDL, VACUUM FULL): wait for it; pg_locks shows which."
        raise LockError(f"A table could not be read: {e.diag.message_primary}.", hint=hint) from None
    finally:
        if not conn.broken:
            conn.execute("SELECT set_config('lock_timeout', %s, false)", [SETTINGS["lock_timeout"]])


def _examine(conn: Connection, config: Config, options: Options) -> list[Finding]:
    version = check_version(conn.info.server_version)
    if version.status == "blocker":
        return [version]
    server = read_server(conn)
    state = check_state(conn, config)
    run = state.run if state.run is not None and state.run.phase is not Phase.ABORTED else None
    found = [
        *check_server(
            conn, server, config, state_exists=state.exists, running=run is not None, show_queries=options.show_queries
        ),
        *check_slots(conn, config.names.state_schema, readable=state.usable),
        *state.findings,
        *check_pooler(config, conn),
        *check_clients(conn, config.cutover.disconnect_clients),
        *check_exact_reads(conn, config.cutover.reads),
    ]
    if run is None:
        found += check_before_run(conn, config, server, options, state)
    elif run.phase not in OVER:
        found += check_during_run(conn, server, run)
    return found
