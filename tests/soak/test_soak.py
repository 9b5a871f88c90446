"""`make soak`: cycles of cutover and revert under load, with random SIGKILLs and server crashes (I4, I5, I6, H37).

SOAK_SECONDS (default 600) says how long, over both variants and both ways of capture; SOAK_SEED which course it takes.
Each ends with the ledger: every acknowledged write is there once, and nothing else.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass

import pytest

from swap.demo.load import Load, check
from tests.support.commands import RunningCli
from tests.support.mode import MODES, REQUESTED, current_mode
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import DatabaseServer
from tests.support.told import Tell
from tests.support.waiting import wait_until

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
VARIANTS = ("adopt", "fresh")
SHARE_S = SECONDS / len(VARIANTS) / (1 if REQUESTED else len(MODES))
KILLED = -9
UNREACHABLE = {7, 9}
TRIES = 40


@dataclass
class Tally:
    cycles: int = 0
    commands: int = 0
    kills: int = 0
    crashes: int = 0


class Soak:
    """Runs each command until it ends by itself, disturbing it now and then; the state is asked of `status`."""

    def __init__(self, op: Operator, server: DatabaseServer, rng: random.Random, tally: Tally) -> None:
        self.op, self.server, self.rng, self.tally = op, server, rng, tally
        self.follower: RunningCli | None = None

    def command(self, *args: str, done: str | None = None) -> None:
        """Run until it succeeds, or until the phase is `done` (its outcome may have been cut off with it)."""
        for _ in range(TRIES):
            self.tally.commands += 1
            running = self.op.start(*args, "--json")
            code = self._disturbed(running)
            if code == 0 or (done is not None and self.op.status()["phase"] == done):
                return
            assert code in {KILLED, 3, 4, 5, 8, *UNREACHABLE}, running.output()
            if code in (3, 5):  # a gate: what was verified or replayed was cut off with the last disturbance
                self.unfollow()
                self.op("sync", "--once")
                self.op("verify")
        raise AssertionError(f"{args} did not succeed in {TRIES} tries: {running.output()}")

    def _disturbed(self, running: RunningCli) -> int:
        chance = self.rng.random()
        if chance < 0.35:
            self._after_a_while(running)
            self.tally.kills += running.process.poll() is None
            return running.kill().code
        if chance < 0.45:
            self._after_a_while(running)
            self.server.crash()
            self.server.restart()
            self.tally.crashes += 1
        return running.wait().code

    def _after_a_while(self, running: RunningCli) -> None:
        """A random moment of the command's life: its length is the soak's only clock."""
        deadline = time.monotonic() + self.rng.uniform(0.05, 2.5)
        wait_until(lambda: time.monotonic() > deadline or running.process.poll() is not None, 5)

    def caught_up(self) -> None:
        """By `sync --once`; or by a `sync` that follows, which the next exchange takes over from, dead or alive."""
        self.command("sync", "--once")
        if self.rng.random() < 0.5:
            self.follower = self.op.start("sync", "--json")

    def unfollow(self) -> None:
        """Killed or asked to end; a crash of the server may have ended it before."""
        if self.follower is None:
            return
        follower, self.follower = self.follower, None
        if self.rng.random() < 0.5:
            self.tally.kills += follower.process.poll() is None
            follower.kill()
        else:
            result = follower.terminate()
            assert result.code in {0, 6, *UNREACHABLE}, result

    def cycle(self) -> None:
        for kind, phase in (("cutover", "cut_over"), ("revert", "syncing")):
            self.caught_up()
            self.command("verify")
            self.command(kind, "--yes", *(["--no-snapshot"] if kind == "cutover" else []), done=phase)
            self.unfollow()
        self.tally.cycles += 1


@pytest.mark.soak
@pytest.mark.both_modes
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("variant", VARIANTS)
def test_soak(operator: MakeOperator, server: DatabaseServer, variant: str, tell: Tell) -> None:
    op = operator(variant, users=2000, settings="[sync]\nchunk_target_ms = 20\n")
    tally, mode = Tally(), current_mode()
    soak = Soak(op, server, random.Random(f"{SEED} {variant} {mode}"), tally)
    until = time.monotonic() + SHARE_S
    with Load(op.db.app, workers=3, rate=100) as load:
        soak.command("prepare", done="prepared")
        soak.command("sync", "--once", done="syncing")
        while time.monotonic() < until:
            soak.cycle()
        op("sync", "--once")
        assert op("verify", "--method", "exact").json["verdict"] == "identical"
        stats = load.stop()
        report = check(op.db.superuser, load)
    tell(
        f"soak, {variant}, {mode} capture: {tally.cycles} cycles, {tally.commands} commands, {tally.kills} kills,"
        f" {tally.crashes} crashes of the server; {report.acknowledged:,} rows acknowledged, {report.lost} lost"
        + ("" if report.ok else f"; wrong: {report}")
    )
    assert report.ok, report.details
    assert stats.errors == ()
    assert tally.cycles > 0
