"""The load as the cycle sees it: started before `prepare`, stopped after `finalize`, and what it says about itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from swap.core.connection import Connection
from swap.plan.model import Plan
from swap.rehearse.latency import around, points
from swap.rehearse.load import Load
from swap.rehearse.mix import read_mix, texts
from swap.rehearse.programs import Background, Programs
from swap.rehearse.record import Step

AT_LEAST = 50  # transactions on either side of an exchange
PATIENCE_S = 30.0
POLL_S = 0.2


class LoadBeside(Protocol):
    """A context manager, whose end stops it too."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def dwell(self, seconds: float) -> None: ...
    def stop(self) -> None: ...
    def result(self, conn: Connection, steps: Sequence[Step], started: float, /) -> dict[str, Any]: ...


@dataclass
class BuiltInLoad:
    """The mix of the catalog, with its ledger."""

    conninfo: str
    plan: Plan
    load: Load = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.conninfo, self.plan)

    def __enter__(self) -> Self:
        self.load.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dwell(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.load.wait_for(AT_LEAST, PATIENCE_S)
        self.load.stopping.wait(max(0.0, until - time.monotonic()))

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
            "kind": "mix", "transactions": len(latencies), "writes": sum(kind != "read" for _, _, kind in latencies),
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

    def dwell(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._background is not None and (left := until - time.monotonic()) > 0:
            self._background.look()
            time.sleep(min(POLL_S, left))

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
