"""The cycle on the clone: doctor, plan, prepare, sync, verify, cutover, verify, revert, verify, cutover, verify, finalize.

`sync` runs beside the rest from the first verification on, as it does that night; only while statements are tried it does not. At each state the observers are told: checks,
statements and dumps are theirs. The first command that fails ends the cycle: what it said is the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from swap.core.connection import Connection
from swap.core.errors import ExitCode
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.rehearse.commands import Commands, Ran
from swap.rehearse.prediction import Alone
from swap.rehearse.record import Reason, Step
from swap.rehearse.work import Work

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
POLL_S = 0.1
BEGINS_S = 600.0  # of a process on a busy machine: seconds; of one that waits for what never comes: no end


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
    """`on_state`: told at each of STATES. `dwell`: called beside each exchange, so that the load runs on both sides of it.
    `worked`: the work on rows of a command between two times. `try_phases`: tries the statements
    of phases of the plan, right before the command that runs them. `alone`: what the load wrote while no command ran."""

    commands: Commands
    conn: Connection
    on_state: Callable[[str], None]
    dwell: Callable[[], None]
    note: Callable[[str], None]
    worked: Callable[[str, float, float], Sequence[Work]]
    try_phases: Callable[..., None] = lambda *_: None
    alone: Alone = field(default_factory=Alone)
    started: float = field(default_factory=time.time)
    steps: list[Step] = field(default_factory=list)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Raises CycleStoppedError."""
        self._command("doctor")
        self._command("plan")
        self._state(BEFORE)
        self.try_phases("prepare")
        self._command("prepare")
        self._command("sync", "--once")
        self.try_phases("cutover", "validate")
        with self._syncing():
            self._command("verify")
            self._state(PREPARED)
            self._exchange("cutover", "--no-snapshot")
            self._state(CUT_OVER)
            self._exchange("revert")
            self._state(REVERTED)
            self._exchange("cutover", "--no-snapshot")
        self.try_phases("revert", "finalize")
        with self._syncing():
            self._command("finalize", "--yes")
            self._state(FINALIZED)

    @contextmanager
    def _syncing(self) -> Iterator[None]:
        """`swap sync` beside the block, at work before it begins: one that starts while `finalize` removes parts is refused.
        Raises CycleStoppedError where it failed."""
        with self.commands.syncing() as sync:
            until = time.monotonic() + BEGINS_S
            while sync.poll() is None and not self.commands.sync_works():
                if time.monotonic() > until:
                    self._fail("command", "`swap sync`", {"message": f"it did not begin within {BEGINS_S:.0f} s"})
                time.sleep(POLL_S)
            yield
            if sync.poll():
                said = self.commands.sync_said().strip().splitlines()
                self._fail("command", "`swap sync` ended", {"message": said[-1] if said else "it said nothing"})

    def _exchange(self, kind: str, *options: str) -> None:
        self._dwell()
        self._command(kind, "--yes", *options)
        self._dwell()
        self._command("verify")

    def _dwell(self) -> None:
        """The load alone. What it writes meanwhile is not the commands'."""
        began, before = time.monotonic(), self._usage()
        self.dwell()
        after, a = self._usage(), self.alone
        wal, size = (y - x if x is not None and y is not None else 0 for x, y in zip(before, after, strict=True))
        self.alone = Alone(a.seconds + time.monotonic() - began, a.wal_bytes + wal, a.size_bytes + size)

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
        work = self.worked(args[0], ran.began, ran.ended)
        step = Step(
            number=len(self.steps) + 1, command=said, code=ran.code, began_s=ran.began - self.started, seconds=ran.seconds, wal_bytes=wal,
            size_bytes=after.size_bytes, facts=facts, error=ran.error,
            work_s=_by_table(work), work_wal_bytes=round(sum(w.wal_bytes for w in work)),
        )  # fmt: skip
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


def _by_table(work: Iterable[Work]) -> dict[str, float]:
    found: dict[str, float] = {}
    for w in work:
        found[w.table or ""] = found.get(w.table or "", 0.0) + w.seconds
    return {table: round(seconds, 3) for table, seconds in found.items()}
