"""The command to run now: `next` of every JSON document, and the last line of `swap status`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

NAMED = re.compile(r"`(swap [a-z][^`]*)`")
WATCH = "swap status --watch"


class Next(NamedTuple):
    """`command` None: there is none to run now. `why`: a clause."""

    command: str | None
    why: str


def named_in(hint: str) -> str | None:
    """The first command that a hint names."""
    found = NAMED.search(hint)
    return found[1] if found else None


def next_step(d: dict[str, Any]) -> Next:
    """From the document of `status`."""
    if d["run_id"] is None:
        return _before(d)
    if d["unfinished"]:
        return Next(f"swap {d['unfinished']}", "it has removed a part, and removes the rest")
    match d["phase"]:
        case "aborted":
            return Next("swap prepare", "the run was aborted; this begins another one")
        case "finalized":
            return Next(None, "the migration is finished")
        case "none":
            return Next("swap prepare", "it has not finished; it resumes")
        case _:
            return _mend(d) or _go_on(d)


def _before(d: dict[str, Any]) -> Next:
    if d["left_over"]:
        return Next(None, "see RUNBOOK.md, 'Something was dropped'")
    if not d["source_exists"]:
        return Next(None, "name a table that exists in [source], or another database")
    return Next("swap doctor", "nothing is prepared: first see whether the table can be migrated")


def _mend(d: dict[str, Any]) -> Next | None:
    if d["missing"]:
        return Next("swap finalize" if d["phase"] == "cut_over" else "swap abort", "a table of the run was dropped")
    if d["capture_problem"] or (d["slot"] and d["slot"]["problem"]):
        return Next("swap prepare", "it puts capture back, and queues what was missed")
    if d["paused"]:
        return Next("swap resume", "the run is paused")
    return None


def _go_on(d: dict[str, Any]) -> Next:
    runs = d["worker"] is None or d["worker"]["running"]
    if d["phase"] in ("prepared", "backfilling"):
        return Next(WATCH, "the build goes on") if runs else Next("swap sync", "it builds, and then replays changes")
    return _forward(d, runs=runs) if d["phase"] == "syncing" else _reverse(d, runs=runs)


def _forward(d: dict[str, Any], *, runs: bool) -> Next:
    if not runs and d["pending_changes"]:
        return Next("swap sync", "changes wait, and no worker replays them")
    if d["waiting_cutover"]:
        return Next(WATCH, "a cutover waits; `swap cutover --now` lets it begin at once")
    if d["cutover"]["possible"]:
        return Next("swap cutover", "every gate is open")
    asked = named_in(d["cutover"]["reason"])
    return Next(asked, "it opens the gate that is closed" if asked else "`cutover` says what closes the gate, and what opens it")


def _reverse(d: dict[str, Any], *, runs: bool) -> Next:
    if not runs:
        return Next("swap sync", "it keeps the retired table in sync, so that a revert stays possible")
    if not d["revert"]["possible"] and (asked := named_in(d["revert"]["reason"])):
        return Next(asked, "it opens the gate of a revert")
    return Next(WATCH, "`swap finalize` when no way back is needed any more")
