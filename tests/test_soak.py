"""`make soak`: cycles of cutover and revert under load, with random SIGKILLs and server crashes (I4, I5, I6, H37).

SOAK_SECONDS (default 600) says how long, SOAK_SEED which course it takes. The ledger is checked at the end.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

import pytest

from swap.demo.load import Load, check
from tests.fix_server import DatabaseServer
from tests.operating import MakeOperator, Operator
from tests.waiting import wait_until

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
KILLED = -9
UNREACHABLE = {7, 9}


@dataclass
class Tally:
    cycles: int = 0
    kills: int = 0
    crashes: int = 0
    attempts: int = 0


class Soak:
    """Runs each command until it ends by itself, disturbing it now and then; the state is asked of `status`."""

    def __init__(self, op: Operator, server: DatabaseServer, rng: random.Random, tally: Tally) -> None:
        self.op, self.server, self.rng, self.tally = op, server, rng, tally

    def command(self, *args: str, done: str | None = None) -> None:
        """Run until it succeeds, or until the phase is `done` (its outcome may have been cut off with it)."""
        for _ in range(20):
            self.tally.attempts += 1
            running = self.op.start(*args, "--json")
            chance = self.rng.random()
            if chance < 0.35:
                self._after_a_while(running.pid)
                self.tally.kills += running.process.poll() is None
                code = running.kill().code
            elif chance < 0.45:
                self._after_a_while(running.pid)
                self.server.crash()
                self.server.restart()
                self.tally.crashes += 1
                code = running.wait().code
            else:
                code = running.wait().code
            if code == 0 or (done is not None and self._phase() == done):
                return
            assert code in {KILLED, 3, 4, 5, 8, *UNREACHABLE}, running.output()
            if code in (3, 5):  # a gate: what was verified or replayed was cut off with the last disturbance
                self.op("sync", "--once")
                self.op("verify")
        raise AssertionError(f"{args} did not succeed in 20 tries: {running.output()}")

    def _after_a_while(self, pid: int) -> None:
        """A random moment of the command's life: its length is the soak's only clock."""
        deadline = time.monotonic() + self.rng.uniform(0.3, 2.5)
        wait_until(lambda: time.monotonic() > deadline or not _alive(pid), 5)

    def _phase(self) -> str:
        return str(self.op.status()["phase"])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_soak(operator: MakeOperator, server: DatabaseServer, variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    op = operator(variant, users=2000, settings="[sync]\nchunk_target_ms = 20\n")
    tally = Tally()
    soak = Soak(op, server, random.Random(f"{SEED} {variant}"), tally)
    until = time.monotonic() + SECONDS / 2
    with Load(op.db.app, workers=3, rate=100) as load:
        soak.command("prepare", done="prepared")
        soak.command("sync", "--once", done="syncing")
        while time.monotonic() < until:
            for kind, phase in (("cutover", "cut_over"), ("revert", "syncing")):
                soak.command("sync", "--once")
                soak.command("verify")
                soak.command(kind, "--yes", *(["--no-snapshot"] if kind == "cutover" else []), done=phase)
            tally.cycles += 1
        op("sync", "--once")
        assert op("verify", "--method", "exact").json["verdict"] == "identical"
        stats = load.stop()
        report = check(op.db.superuser, load)
    with capsys.disabled():
        print(f"\nsoak {variant}: {tally}, acknowledged {report.acknowledged}, lost {report.lost}, details {report.details[:5]}")
    assert report.ok, report.details
    assert stats.errors == ()
