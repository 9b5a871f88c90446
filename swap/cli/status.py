"""`swap status`: show what the journal and the catalog say, and what is possible from here.

It reads, and believes no number that it has not read at that moment: whether an exchange is possible is asked of its gates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swap.cli import status_progress
from swap.cli.next_step import next_step
from swap.cli.output import watched
from swap.cli.results import done
from swap.cli.session import Session, active, opened
from swap.cli.status_lines import fitted
from swap.cli.status_progress import Rates
from swap.core.errors import RefusedError
from swap.core.names import TableName
from swap.core.pgbouncer import paused_now
from swap.state.journal import Journal, Phase, Run
from swap.state.missing import KEPT, Begun, find_begun, left_over, missing_tables, refuse_missing
from swap.state.upgrade import VERSION
from swap.sync.backlog_trend import BEHIND, CAUGHT_UP
from swap.sync.change_queue import ChangeQueue
from swap.sync.follow_up import SETTLED
from swap.sync.legacy_keys import read_legacy_keys
from swap.sync.live_settings import accepted
from swap.sync.waiting import count_held
from verify.capture import current_faults

if TYPE_CHECKING:
    from swap.rehearse.expected import Expected

LOOK_S = 0.4  # between the two looks of one `status` at a running worker
NOT_YET = {"possible": False, "reason": "nothing is prepared"}
NOT_CUT_OVER = {"possible": False, "reason": "nothing is cut over"}
EMPTY: dict[str, Any] = {
    "phase": "none", "direction": "forward", "mode": None, "run_id": None, "pending_changes": 0, "waiting_rows": 0, "lag_bytes": None, "slot": None,
    "tables": [], "backfill": None, "indexes": None, "replay": None, "worker": None, "throttle": None, "settings": [], "autoscale": None, "drift": [],
    "waiting_cutover": None, "cutover": NOT_YET, "revert": NOT_CUT_OVER, "verification": None, "verifying": None,
    "paused": False, "last_attempt": None, "snapshot": None, "legacy_keys": None, "falling_behind": None,
    "pooler": [], "capture_problem": None, "unfinished": None, "missing": [], "left_over": None,
    "source": "", "source_exists": True, "database": "", "server": None, "time": None,
}  # fmt: skip


def work(dsn: str | None, config: Path | None, *, watch: bool, rehearsal: Path | None, as_json: bool) -> None:
    expected = _expected(rehearsal)
    with opened("status", dsn, config, graceful=watch) as s:
        if as_json or not watch:
            document = read_status(s, pause=s.stop.wait) | _beside(s, expected)
            done(as_json, document, "\n".join(fitted(document)))
            return
        rates = Rates.none()
        with watched() as (show, every_s, size):
            stopped = False
            while not stopped:
                s.run = s.journal.current(s.config.source.name) if s.journal.exists() else None
                show(fitted(read_status(s, rates) | _beside(s, expected), size()))
                stopped = s.stop.wait(every_s)


def read_status(s: Session, rates: Rates | None = None, *, pause: Callable[[float], object] = lambda _: None) -> dict[str, Any]:
    """Make the document of `status` (docs/json.md). `rates`: from the looks before this one. `pause`: between two looks at a worker
    that runs, where there was none before."""
    document = _where(s) | ({"pooler": _pooler(s)} if s.run is None else _of_run(s, s.run))
    if s.run is None:
        document["left_over"] = left_over(s.journal.conn, s.config) or None
    elif document["replay"]:
        _add_rates(s, s.run, document, rates or Rates.none(), pause)
    step = next_step(document)
    return document | {"next": step.command, "next_why": step.why}


def _expected(file: Path | None) -> Expected | None:
    """What a rehearsal said. Raises UsageError for a file that is none."""
    if file is None:
        return None
    from swap.rehearse.expected import read_expected

    return read_expected(file)


def _beside(s: Session, expected: Expected | None) -> dict[str, Any]:
    """What a rehearsal predicted beside what the run takes. Raises RefusedError for the rehearsal of another table."""
    if expected is None:
        return {}
    source = str(s.config.source.name)
    if expected.source != source:
        raise RefusedError(
            f"The rehearsal was of {expected.source}, and this is {source}.", hint=f"Name the report of a rehearsal of {source}."
        )
    if s.run is None:
        return {"rehearsal": None}
    from swap.rehearse.beside import beside

    row = s.journal.conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return {"rehearsal": beside(s.journal, s.run, expected, row[0])}


def _where(s: Session) -> dict[str, Any]:
    """What is asked, and of whom."""
    conn, source = s.journal.conn, s.config.source.name
    row = conn.execute(
        "SELECT clock_timestamp(), EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s)",
        [source.schema, source.name],
    ).fetchone()
    assert row is not None
    server = {
        "host": conn.info.host, "port": conn.info.port, "version": conn.info.parameter_status("server_version"), "standby": s.standby,
    }  # fmt: skip
    return EMPTY | {
        "source": str(source), "source_exists": row[1], "database": conn.info.dbname, "server": server, "time": row[0].isoformat(),
    }  # fmt: skip


def _of_run(s: Session, run: Run) -> dict[str, Any]:
    journal, conn = s.journal, s.journal.conn
    ended, ending = not active(run), find_begun(s.journal, run)
    missing = [] if ending else missing_tables(journal, run)
    if any(journal.has_table(m.name) for m in missing):
        refuse_missing(journal, run)
    whole = not ended and not ending and not missing
    captured = whole and journal.step_done(run.id, "capture")
    slot = _slot(journal, run) if captured and run.mode == "logical" and not s.standby else None
    problem = "; ".join(f.detail for f in current_faults(journal, run)) if captured and run.phase in KEPT else ""
    pending = ChangeQueue(conn, run.plan, run.id).count_due() if captured else 0
    position = journal.capture.position(run.id) if captured else None
    worker = status_progress.worker(journal, run) if whole and not s.standby else None
    tables = status_progress.tables(journal, run) if whole else []
    building = whole and run.phase in (Phase.PREPARED, Phase.BACKFILLING)
    return {
        "phase": run.phase.public, "direction": run.direction, "mode": run.mode, "run_id": str(run.id),
        "pending_changes": pending,
        "waiting_rows": count_held(conn, run.plan) if captured and journal.version == VERSION else 0,
        "lag_bytes": slot["lag_bytes"] if slot else None,
        "slot": slot,
        "tables": tables,
        "backfill": status_progress.backfill(tables) if building else None,
        "indexes": status_progress.indexes(journal, run) if building else None,
        "replay": {"replayed": position.replayed, "replayed_at": position.replayed_at} if position else None,
        "worker": worker,
        "throttle": status_progress.throttle(journal, run) if worker and worker["running"] else None,
        "autoscale": status_progress.autoscale(journal, run) if building and not s.standby else None,
        "settings": [] if ended else [{"name": n, "value": v} for n, v in accepted(journal.steering.overrides(run.id)).items()],
        "drift": _drift(s, run) if whole and journal.version == VERSION else [],
        "capture_problem": problem or None,
        "waiting_cutover": status_progress.waiting_cutover(journal, run) if whole and not s.standby else None,
        "cutover": _exchange(s, run, Phase.SYNCING, missing, ending),
        "revert": _exchange(s, run, Phase.CUT_OVER, missing, ending),
        "unfinished": ending.command if ending else None,
        "verification": _verification(s, run),
        "verifying": status_progress.verifying(journal, run) if whole and journal.version == VERSION else None,
        "paused": run.paused,
        "last_attempt": _attempt(journal, run),
        "snapshot": journal.hooks.last_snapshot(run.id),
        "falling_behind": _falling_behind(journal, run) if pending else None,
        "legacy_keys": asdict(read_legacy_keys(conn, run.plan)) if whole and run.phase is Phase.CUT_OVER else None,
        "pooler": _pooler(s),
        "missing": [str(m) for m in missing],
    }  # fmt: skip


def _add_rates(s: Session, run: Run, document: dict[str, Any], rates: Rates, pause: Callable[[float], object]) -> None:
    """What replay did since the look before; of a worker that runs, and was not looked at before, once more."""
    journal = s.journal
    replay = document["replay"]
    rates.add(replay["replayed"], document["pending_changes"])
    if document["worker"] and document["worker"]["running"] and len(rates.seen) < 2:
        pause(LOOK_S)
        again = journal.capture.position(run.id)
        if again is not None:
            document["pending_changes"] = ChangeQueue(journal.conn, run.plan, run.id).count_due()
            replay = {"replayed": again.replayed, "replayed_at": again.replayed_at}
            rates.add(again.replayed, document["pending_changes"])
    at = replay["replayed_at"]
    per_s, come_per_s = rates.per_s()
    document["replay"] = {
        "replayed": replay["replayed"], "replayed_at": at.isoformat() if at else None, "per_s": per_s, "come_per_s": come_per_s,
    }  # fmt: skip


def _pooler(s: Session) -> list[dict[str, Any]]:
    settings = s.config.pgbouncer
    return paused_now(settings.admin_dsn, settings.databases or [s.journal.conn.info.dbname])


def _slot(journal: Journal, run: Run) -> dict[str, Any] | None:
    from swap.sync.logical.lag import read_lag

    lag = read_lag(journal.conn, run.plan, run.id)
    return asdict(lag) if lag else None


def _drift(s: Session, run: Run) -> list[dict[str, Any]]:
    """Changes of the structure that are not swap's own, each with the SQL that undoes it. While swap builds, or finishes an exchange,
    what it adds itself is left out."""
    if run.phase is Phase.PREPARING:
        return []
    from swap.prepare.drift import drift_lines, foreign_drift_lines
    from swap.prepare.undo import with_undo

    exact = run.phase in (Phase.SYNCING, Phase.CUT_OVER) and s.journal.step_done(run.id, SETTLED)
    return [asdict(d) for d in with_undo((drift_lines if exact else foreign_drift_lines)(s.reading(run)))]


def _exchange(s: Session, run: Run, phase: Phase, missing: list[TableName], ending: Begun | None) -> dict[str, Any]:
    """Whether `swap cutover` (of the phase `syncing`) or `swap revert` would pass its gates now, and if not, why not (I13)."""
    cutover = phase is Phase.SYNCING
    why_not = ""
    if ending:
        why_not = f"`swap {ending.command}` has begun, and a part of the run is gone for good"
    elif run.phase is not phase:
        why_not = (CUTOVER_IN if cutover else REVERT_IN).get(run.phase, "nothing is cut over")
    elif missing:
        why_not = f"{missing[0]} is gone"
    elif s.standby:
        why_not = "this server is a standby; the primary knows"
    elif s.journal.version != VERSION:
        why_not = "the state is of an older version; any command that works on the run brings it up to date"
    else:
        from cutover.gates import why_closed  # here: only where an exchange comes next

        why_not = why_closed(s.reading(run))
    open_now = "every gate of a cutover is open" if cutover else "every gate of a revert is open; `swap revert` keeps every write"
    return {"possible": not why_not, "reason": why_not or open_now}


REVERT_IN = {
    Phase.FINALIZED: "the retired table was dropped: only the snapshot goes back",
    Phase.ABORTED: "the run was aborted",
}
CUTOVER_IN = {
    Phase.PREPARING: "`swap prepare` has not finished",
    Phase.PREPARED: "nothing is copied yet: `swap sync` copies",
    Phase.BACKFILLING: "the shadow is being built: `swap sync` goes on with it",
    Phase.CUT_OVER: "it is cut over",
    Phase.FINALIZED: "it is cut over, and finalized",
    Phase.ABORTED: "the run was aborted",
}


def _verification(s: Session, run: Run) -> dict[str, Any] | None:
    v = s.journal.verifications.last(run.id)
    if v is None:
        return None
    return {
        "verdict": v.verdict, "finished_at": v.finished_at.isoformat(), "age_s": round(v.age_s, 1),
        "max_age_s": s.config.verify.max_age_s, "method": v.method, "direction": v.direction, "rows": v.rows,
    }  # fmt: skip


def _attempt(journal: Journal, run: Run) -> dict[str, Any] | None:
    a = journal.attempts.last(run.id)
    return None if a is None else asdict(a) | {"at": a.at.isoformat()}


def _falling_behind(journal: Journal, run: Run) -> str | None:
    """Return the last message of `sync` that it falls behind (H12), or None where it has caught up since."""
    last = journal.last_event(run.id, BEHIND, CAUGHT_UP)
    return last.message if last and last.kind == BEHIND else None
