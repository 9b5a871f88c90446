"""The load as the cycle sees it: started before `prepare`, stopped after `finalize`, and what it says about itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from swap.core.connection import Connection
from swap.plan.model import Plan
from swap.rehearse.latency import around, points
from swap.rehearse.load import Load
from swap.rehearse.mix import read_mix, texts
from swap.rehearse.programs import Background, Programs, pgbench_argv
from swap.rehearse.record import Step
from swap.rehearse.used import Used, reads_of, shares_of

AT_LEAST = 50  # transactions on either side of an exchange
PATIENCE_S = 30.0


class LoadBeside(Protocol):
    """A context manager, whose end stops it too."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def dwell(self, seconds: float) -> None: ...
    def quiet(self) -> AbstractContextManager[None]: ...
    def stop(self) -> None: ...
    def result(self, conn: Connection, steps: Sequence[Step], started: float, /) -> dict[str, Any]: ...


@dataclass
class BuiltInLoad:
    """The mix of the catalog, with its ledger. `used`: production's statements, which say how it is made up."""

    conninfo: str
    plan: Plan
    used: Sequence[Used] | None = None
    load: Load = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.conninfo, self.plan, shares_of(self.used, self.plan), reads_of(self.used))

    def __enter__(self) -> Self:
        self.load.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dwell(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.load.wait_for(AT_LEAST, PATIENCE_S)
        self.load.stopping.wait(max(0.0, until - time.monotonic()))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """No transaction of the load runs during the block."""
        self.load.hold()
        try:
            yield
        finally:
            self.load.go_on()

    def stop(self) -> None:
        self.load.stop()

    def result(self, conn: Connection, steps: Sequence[Step], started: float, /) -> dict[str, Any]:
        load, ledger = self.load, self.load.check(conn)
        latencies = sorted((began - started, ms, kind) for began, ms, kind in load.latencies)
        reasons = [f"a write was lost: {m}" for m in ledger.lost[:1]]
        reasons += [f"a row is there that was never acknowledged: {m}" for m in ledger.unexpected[:1]]
        reasons += [f"a row refers to another one than it was written for: {m}" for m in ledger.misplaced[:1]]
        reasons += [f"the load met an error {n} times: {text}" for text, n in load.errors.most_common(3)]
        return {
            "kind": "mix", "made_from": load.shares.source, "shares": load.shares.by_kind,
            "own_reads": sorted({read.text for w in load.workers for read in w.own_ever}), "transactions": len(latencies), "writes": sum(kind != "read" for _, _, kind in latencies),
            "statements": texts(read_mix(conn, self.plan), load.able), "only_read": {str(t): why for t, why in load.only_read.items()},
            "retried": dict(load.retried), "errors": dict(load.errors), "ledger_rows": ledger.rows, "lost": list(ledger.lost),
            "unexpected": list(ledger.unexpected), "misplaced": list(ledger.misplaced), "around": around(steps, latencies),
            "points": points(latencies), "reasons": reasons,
        }  # fmt: skip


@dataclass
class ProgramLoad:
    """A program of the operator's, started again when it ends. Its latencies and its ledger are its own."""

    programs: Programs
    argv: list[str]
    _held: ExitStack = field(default_factory=ExitStack)
    _background: Background | None = None

    def __enter__(self) -> Self:
        self._background = self._held.enter_context(self.programs.running(self.argv))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ends(self) -> list[int]:
        """The codes with which it has ended by itself so far."""
        return self._background.ends if self._background is not None else []

    def dwell(self, seconds: float) -> None:
        time.sleep(seconds)

    def quiet(self) -> AbstractContextManager[None]:
        """It goes on: no program expects to be stopped in the middle of a transaction."""
        return nullcontext()

    def stop(self) -> None:
        self._held.close()

    def result(self, _conn: Connection, _steps: Sequence[Step], _started: float, /) -> dict[str, Any]:
        background = self._background
        assert background is not None
        failed = [code for code in background.ends if code != 0]
        said = background.said.splitlines()[-1] if background.said else "it said nothing"
        reasons = [f"{self.argv[0]} ended with {failed[0]}, {len(failed)} times: {said}"] if failed else []
        return {
            "kind": "program", "argv": self.argv, "ends": background.ends, "output": background.said, "reasons": reasons,
        }  # fmt: skip


@dataclass
class ScriptLoad:
    """pgbench with a script of the operator's. Its log, in `directory`, has the latency of every transaction but the last few: it is
    ended by a signal. A ledger it has not."""

    programs: Programs
    script: Path
    server_version: int
    directory: Path = field(init=False)
    _held: ExitStack = field(default_factory=ExitStack)
    _program: ProgramLoad | None = None
    _latencies: list[tuple[float, float, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.directory = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="swap-load-")))
        self._held.enter_context(self.programs.watchdog.watching(directory=str(self.directory)))
        argv = pgbench_argv(self.script, self.server_version, self.directory / "log")
        self._held.callback(lambda: self._latencies.extend(read_pgbench_log(self.directory)))
        self._program = self._held.enter_context(ProgramLoad(self.programs, argv))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ends(self) -> list[int]:
        return self._program.ends if self._program is not None else []

    def dwell(self, seconds: float) -> None:
        time.sleep(seconds)

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()

    def stop(self) -> None:
        self._held.close()

    def result(self, conn: Connection, steps: Sequence[Step], started: float, /) -> dict[str, Any]:
        assert self._program is not None
        latencies = sorted((began - started, ms, kind) for began, ms, kind in self._latencies)
        document = self._program.result(conn, steps, started)
        reasons = [*document["reasons"], *([] if latencies else ["pgbench did no transaction"])]
        return document | {
            "kind": "script", "transactions": len(latencies), "around": around(steps, latencies), "points": points(latencies), "reasons": reasons,
        }  # fmt: skip


def read_pgbench_log(directory: Path) -> Iterator[tuple[float, float, str]]:
    """(when it began, milliseconds, kind) of each transaction: client, number, microseconds, script, and when it ended as seconds and
    microseconds; with --rate the time since it was due (pgbench, "Per-Transaction Logging"). A failed one has a word for its time."""
    for file in directory.iterdir():
        for line in file.read_text(encoding="ascii", errors="replace").splitlines():
            fields = line.split()
            if len(fields) >= 6 and fields[2].isdecimal() and fields[5].isdecimal():
                seconds = int(fields[2]) / 1e6
                yield int(fields[4]) + int(fields[5]) / 1e6 - seconds, seconds * 1000, "transaction"
