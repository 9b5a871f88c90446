"""The cycle on the clone: doctor, plan, prepare, sync, verify, cutover, verify, revert, verify, cutover, verify, finalize.

`sync` runs beside the rest from the first verification on, as it does that night. At each state the observers are told: checks,
statements and dumps are theirs. The first command that fails ends the cycle: what it said is the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from swap.core.connection import Connection
from swap.core.errors import ExitCode
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.rehearse.commands import Commands, Ran
from swap.rehearse.record import Reason, Step

BEFORE, PREPARED, CUT_OVER, REVERTED, FINALIZED = STATES = ("before", "prepared", "cut over", "reverted", "finalized")
FACTS = {
    "plan": ("fingerprint", "estimate", "tables"),
    "verify": ("verdict", "method", "tables"),
    "cutover": (
        "outcome",
        "attempts",
        "lock_wait_ms",
        "locked_ms",
        "drained_changes",
        "blocked_sessions_max",
        "blocked_ms_max",
        "waited",
    ),
}
FACTS["revert"] = FACTS["cutover"]


class CycleStoppedError(Exception):
    """A command failed. `reason`: for the report."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class Usage(NamedTuple):
    """The position of the WAL, in bytes, and the size of the database."""

    wal_bytes: int | None
    size_bytes: int | None


@dataclass
class Cycle:
    """`on_state`: told at each of STATES. `dwell`: called beside each exchange, so that the load runs on both sides of it."""

    commands: Commands
    conn: Connection
    on_state: Callable[[str], None]
    dwell: Callable[[], None]
    note: Callable[[str], None]
    started: float = field(default_factory=time.time)
    steps: list[Step] = field(default_factory=list)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Raises CycleStoppedError."""
        self._command("doctor")
        self._command("plan")
        self._state(BEFORE)
        self._command("prepare")
        self._command("sync", "--once")
        with self.commands.syncing() as sync:
            self._command("verify")
            self._state(PREPARED)
            self._exchange("cutover", "--no-snapshot")
            self._state(CUT_OVER)
            self._exchange("revert")
            self._state(REVERTED)
            self._exchange("cutover", "--no-snapshot")
            self._command("finalize", "--yes")
            self._state(FINALIZED)
            if sync.poll():
                self._fail("command", "`swap sync` ended", {"message": self.commands.sync_said().strip().splitlines()[-1:]})

    def _exchange(self, kind: str, *options: str) -> None:
        self.dwell()
        self._command(kind, "--yes", *options)
        self.dwell()
        self._command("verify")

    def _state(self, name: str) -> None:
        self.states[name] = time.time() - self.started
        self.on_state(name)

    def _command(self, *args: str) -> Ran:
        said = " ".join(args)
        self.note(f"$ swap {said}")
        before = self._usage()
        ran = self.commands.run(*args)
        after = self._usage()
        wal = after.wal_bytes - before.wal_bytes if after.wal_bytes is not None and before.wal_bytes is not None else None
        facts = {k: ran.document[k] for k in FACTS.get(args[0], ()) if k in ran.document}
        self.documents.setdefault(args[0], ran.document)
        began = ran.began - self.started
        step = Step(len(self.steps) + 1, said, ran.code, began, ran.seconds, wal, after.size_bytes, facts, ran.error)
        self.steps.append(step)
        if ran.error is not None:
            self._fail(
                "refused" if ran.code == ExitCode.REFUSED else "command", f"`swap {said}` ended with {ran.code}", ran.error
            )
        return ran

    def _usage(self) -> Usage:
        return fetch(self.conn, Usage, load_sql("swap.rehearse", "usage.sql"))[0]

    def _fail(self, kind: str, what: str, error: Mapping[str, Any]) -> None:
        hint = f" {error['hint']}" if error.get("hint") else ""
        raise CycleStoppedError(Reason(kind, f"{what}: {error['message']}{hint}"))
