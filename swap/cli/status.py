"""`swap status`: show what the journal and the catalog say, and what is possible from here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from swap.cli.output import duration, watched
from swap.cli.results import done
from swap.cli.session import Session, active, opened
from swap.core.names import TableName
from swap.core.pgbouncer import by_hand, paused_now
from swap.state.journal import Journal, Phase, Run
from swap.state.missing import KEPT, RUNBOOK, left_over, missing_tables, refuse_missing
from swap.state.upgrade import VERSION
from swap.sync.backlog_trend import BEHIND, CAUGHT_UP
from swap.sync.change_queue import ChangeQueue
from swap.sync.legacy_keys import read_legacy_keys
from swap.sync.waiting import count_held
from verify.capture import current_faults

FEW_KEYS = 1_000_000
EMPTY: dict[str, Any] = {
    "phase": "none", "direction": "forward", "mode": None, "run_id": None, "pending_changes": 0, "waiting_rows": 0, "lag_bytes": None, "slot": None,
    "tables": [], "revert": {"possible": False, "reason": "nothing is cut over"}, "verification": None,
    "paused": False, "last_attempt": None, "snapshot": None, "legacy_keys": None, "falling_behind": None,
    "pooler": [], "capture_problem": None,
}  # fmt: skip


def work(dsn: str | None, config: Path | None, *, watch: bool, as_json: bool) -> None:
    with opened("status", dsn, config, graceful=watch) as s:
        if as_json or not watch:
            document = read_status(s)
            done(as_json, document, "\n".join(status_lines(document)))
            return
        with watched() as (show, every_s):
            stopped = False
            while not stopped:
                s.run = s.journal.current(s.config.source.name) if s.journal.exists() else None
                show(status_lines(read_status(s)))
                stopped = s.stop.wait(every_s)


def read_status(s: Session) -> dict[str, Any]:
    """Make the document of `status` (docs/json.md)."""
    run = s.run
    if run is None:
        return EMPTY | {"pooler": _pooler(s), "missing": [], "left_over": left_over(s.journal.conn, s.config) or None}
    ended = not active(run)
    missing = missing_tables(s.journal, run)
    if any(s.journal.has_table(m.name) for m in missing):
        refuse_missing(s.journal, run)
    captured = not ended and not missing and s.journal.step_done(run.id, "capture")
    pending = ChangeQueue(s.journal.conn, run.plan, run.id).count_due() if captured else 0
    slot = _slot(s.journal, run) if captured and run.mode == "logical" and not s.standby else None
    problem = "; ".join(f.detail for f in current_faults(s.journal, run)) if captured and run.phase in KEPT else ""
    keys = asdict(read_legacy_keys(s.journal.conn, run.plan)) if run.phase is Phase.CUT_OVER and not missing else None
    return {
        "phase": run.phase.public,
        "direction": run.direction,
        "mode": run.mode,
        "run_id": str(run.id),
        "pending_changes": pending,
        "waiting_rows": count_held(s.journal.conn, run.plan) if captured and s.journal.version == VERSION else 0,
        "lag_bytes": slot["lag_bytes"] if slot else None,
        "slot": slot,
        "tables": [] if ended or missing else _tables(s.journal, run),
        "capture_problem": problem or None,
        "revert": _revert(run, missing, problem),
        "verification": _verification(s.journal, run),
        "paused": run.paused,
        "last_attempt": _attempt(s.journal, run),
        "snapshot": s.journal.hooks.last_snapshot(run.id),
        "falling_behind": _falling_behind(s.journal, run) if pending else None,
        "legacy_keys": keys,
        "pooler": _pooler(s),
        "missing": [str(m) for m in missing],
        "left_over": None,
    }


def _pooler(s: Session) -> list[dict[str, Any]]:
    settings = s.config.pgbouncer
    return paused_now(settings.admin_dsn, settings.databases or [s.journal.conn.info.dbname])


def _slot(journal: Journal, run: Run) -> dict[str, Any] | None:
    from swap.sync.logical.lag import read_lag

    lag = read_lag(journal.conn, run.plan, run.id)
    return asdict(lag) if lag else None


def _revert(run: Run, missing: list[TableName], problem: str) -> dict[str, Any]:
    if missing and run.phase is Phase.CUT_OVER:
        return {"possible": False, "reason": f"{missing[0]} is gone"}
    if problem and run.phase is Phase.CUT_OVER:
        return {"possible": False, "reason": f"what captures changes is not as it was made: {problem}"}
    reasons = {
        Phase.CUT_OVER: "reverse capture is live; `swap revert` keeps every write",
        Phase.FINALIZED: "the retired table was dropped: only the snapshot goes back",
        Phase.ABORTED: "the run was aborted",
    }
    return {"possible": run.phase is Phase.CUT_OVER, "reason": reasons.get(run.phase, "nothing is cut over")}


def _verification(journal: Journal, run: Run) -> dict[str, Any] | None:
    v = journal.verifications.last(run.id)
    if v is None:
        return None
    return {
        "verdict": v.verdict, "finished_at": v.finished_at.isoformat(), "age_s": round(v.age_s, 1),
        "method": v.method, "direction": v.direction,
    }  # fmt: skip


def _attempt(journal: Journal, run: Run) -> dict[str, Any] | None:
    a = journal.attempts.last(run.id)
    if a is None:
        return None
    return {"kind": a.kind, "outcome": a.outcome, "at": a.at.isoformat(), "detail": a.detail, "xid": a.xid}


def _falling_behind(journal: Journal, run: Run) -> str | None:
    """Return the last message of `sync` that it falls behind (H12), or None where it has caught up since."""
    last = journal.last_event(run.id, BEHIND, CAUGHT_UP)
    return last.message if last and last.kind == BEHIND else None


def _tables(journal: Journal, run: Run) -> list[dict[str, Any]]:
    done = journal.chunks.rows_by_part(run.id)
    plan = run.plan
    parts = [(str(t.name), t.name, t.part) for t in plan.swapped]
    for r in plan.references:
        heaps = plan.catalog.table(r.table).heaps
        parts += [(f"{h.name}.{r.columns.uuid_column}", h.name, f"{h.name}.{r.columns.uuid_column}") for h in heaps]
    return [
        {
            "name": name,
            "rows_copied": done.get(part, 0),
            "rows_estimate": _estimate(journal, table),
            "state": _state(run, part in done),
        }
        for name, table, part in parts
    ]


def _estimate(journal: Journal, table: TableName) -> int:
    row = journal.conn.execute(
        "SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [table.schema, table.name],
    ).fetchone()
    return int(row[0]) if row else 0


def _state(run: Run, begun: bool) -> str:
    if run.phase in (Phase.SYNCING, Phase.CUT_OVER):
        return "in sync"
    if run.phase is Phase.BACKFILLING:
        return "copying" if begun else "waiting"
    return "prepared" if run.phase is Phase.PREPARED else "preparing"


def _slot_lines(slot: dict[str, Any]) -> list[str]:
    if slot["problem"]:
        return [f"slot       {slot['problem']} `swap prepare` starts capture again"]
    text = f"slot       {slot['name']}: {'being read' if slot['active'] else 'not being read'}, {slot['wal_status']},"
    text += f" {slot['lag_bytes']:,} bytes behind for {duration(slot['lag_s'])}, {slot['retained_bytes']:,} bytes of WAL kept"
    if slot["left_bytes"] is not None:
        text += f"; lost after {slot['left_bytes']:,} more (max_slot_wal_keep_size)"
        text += f", in about {duration(slot['lost_in_s'])}" if slot["lost_in_s"] is not None and not slot["active"] else ""
    return [text]


def _legacy_lines(keys: dict[str, Any]) -> list[str]:
    """Tell how many legacy keys are left, where the range of their type ends soon or has ended."""
    left, given, spare = keys["left"], keys["spare_given"], keys["spare_left"]
    if given:
        ended = f"the old key's sequence has ended: {given:,} rows were given unused keys from the other end of its range"
        return [f"legacy     {ended} ({spare:,} left). A revert keeps them; INSERTs fail after it"]
    if left is None or left > FEW_KEYS:
        return []
    then = "unused keys from the other end of its range are given then" if spare is not None else "INSERTs fail then"
    return [f"legacy     {left:,} keys left in {keys['sequence']}: {then}"]


def _pooler_lines(pooler: list[dict[str, Any]]) -> list[str]:
    said = {True: "PAUSED, its clients wait. {}", False: "not paused", None: "it is not known whether it is paused"}
    return [f"pooler     {p['pooler']}, {p['database']}: {said[p['paused']].format(by_hand(p['database']))}" for p in pooler]


def status_lines(d: dict[str, Any]) -> list[str]:
    """Write the document as lines for people."""
    if d["run_id"] is None:
        return [
            "phase      none: nothing is prepared for this table",
            *([f"left over  {d['left_over']}"] if d["left_over"] else []),
            *_pooler_lines(d["pooler"]),
        ]
    out = [
        f"phase      {d['phase']} ({d['direction']}, {d['mode']} capture, run {d['run_id']})"
        + (", PAUSED" if d["paused"] else ""),
        f"pending    {d['pending_changes']:,} changes",
    ]
    if d["waiting_rows"]:
        out.append(f"waiting    {d['waiting_rows']:,} rows for the row that they refer to")
    out += [f"MISSING    {name}: another session dropped it. {RUNBOOK}" for name in d["missing"]]
    if d["capture_problem"]:
        out.append(f"CAPTURE    {d['capture_problem']}. `swap prepare` puts it back and queues what was missed")
    out += [f"           {d['falling_behind']}"] if d["falling_behind"] else []
    out += _slot_lines(d["slot"]) if d["slot"] else []
    for t in d["tables"]:
        of = f" of ~{t['rows_estimate']:,}" if t["rows_copied"] < t["rows_estimate"] else ""
        out.append(f"table      {t['name']}: {t['state']}, {t['rows_copied']:,}{of} rows backfilled")
    v = d["verification"]
    out.append(
        f"verified   {v['verdict']}, {duration(v['age_s'])} ago ({v['method']}, {v['direction']})" if v else "verified   never"
    )
    out.append(f"revert     {'possible' if d['revert']['possible'] else 'not possible'}: {d['revert']['reason']}")
    out += _legacy_lines(d["legacy_keys"]) if d["legacy_keys"] else []
    if d["snapshot"]:
        out.append(f"snapshot   {d['snapshot']}")
    if d["last_attempt"]:
        a = d["last_attempt"]
        out.append(f"attempt    {a['kind']} {a['outcome']} at {a['at']}" + (f": {a['detail']}" if a["detail"] else ""))
    return out + _pooler_lines(d["pooler"])
