"""`swap report RUN`: the same page of a real run, from its journal. What only a rehearsal sees (locks, latencies, statements) is not in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from swap import __version__
from swap.rehearse.record import FORMAT
from swap.state.account import Account, read_account
from swap.state.journal import Journal, Run


def run_document(journal: Journal, run: Run) -> dict[str, Any]:
    """The report's document. Reads the journal only."""
    account = read_account(journal, run)
    began = run.created_at
    return {
        "kind": "run", "format": FORMAT, "verdict": run.phase.public.replace("_", " "), "run_id": run.id, "source": str(run.source), "mode": run.mode,
        "began_at": began.isoformat(timespec="seconds"), "seconds": round((_last(account, began) - began).total_seconds(), 1),
        "server_version": journal.conn.info.server_version, "tool_version": __version__, "reasons": _reasons(account), "warnings": [],
        "left_out": [], "clone": None, "prediction": None, "states": {}, "steps": _steps(account, began), "findings": [], "schema": None,
        "checks": [], "load": None, "locks": [], "lock_statements": [], "lock_waits": None, "statements": [], "pin": None, "events": _events(account),
        "samples": {"copied": [(round((at - began).total_seconds(), 2), rows) for at, rows in account.chunks]},
    }  # fmt: skip


def _last(account: Account, began: datetime) -> datetime:
    times: list[datetime] = [
        began,
        account.changed_at,
        *(at for at, _ in account.chunks),
        *(e["at"] for e in (*account.events, *account.attempts)),
    ]
    times += [v["finished_at"] for v in account.verifications]
    return max(times)


def _reasons(account: Account) -> list[dict[str, str]]:
    """What needs a person: the last verification, where it is not clean."""
    if account.verifications and account.verifications[-1]["verdict"] != "identical":
        return [{"kind": "command", "text": f"the last verification says {account.verifications[-1]['verdict']}"}]
    return []


def _steps(account: Account, began: datetime) -> list[dict[str, Any]]:
    """What has a beginning and an end in the journal: the copy, verifications, hooks."""
    found: list[tuple[datetime, datetime, str, int]] = []
    if account.chunks:
        found.append((account.chunks[0][0], account.chunks[-1][0], f"copy ({sum(n for _, n in account.chunks):,} rows)", 0))
    for v in account.verifications:
        clean = v["verdict"] == "identical"
        found.append(
            (v["started_at"], v["finished_at"], f"verify ({v['method']}, {v['direction']}): {v['verdict']}", 0 if clean else 5)
        )
    for h in account.hooks:
        found.append(
            (
                h["started_at"],
                h["finished_at"] or h["started_at"],
                f"hook {h['name']}: {h['snapshot'] or 'no snapshot'}",
                h["exit_code"] or 0,
            )
        )
    return [
        {
            "number": n, "command": what, "code": code, "began_s": (start - began).total_seconds(), "seconds": (end - start).total_seconds(),
            "wal_bytes": None, "size_bytes": None, "facts": {}, "error": None,
        }
        for n, (start, end, what, code) in enumerate(sorted(found), 1)
    ]  # fmt: skip


def _events(account: Account) -> list[dict[str, str]]:
    """Events and attempts at an exchange, oldest first."""
    rows = [(e["at"], e["kind"], e["message"]) for e in account.events]
    rows += [(a["at"], a["kind"], f"{a['outcome']}{': ' + a['detail'] if a['detail'] else ''}") for a in account.attempts]
    return [{"at": at.isoformat(timespec="seconds"), "kind": kind, "message": message} for at, kind, message in sorted(rows)]
