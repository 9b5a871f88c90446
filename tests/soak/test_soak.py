"""`make soak`: cycles of cutover and revert under load, with random SIGKILLs and server crashes (I4, I5, I6, H37); with rewrites and
DDL of others during any command (H57, H59, H62), and dumps that are restored and taken over (H58).

SOAK_SECONDS (default 600) says how long, over both variants and both ways of capture; SOAK_SEED which course it takes.
Each ends with the ledger: every acknowledged write is there once, and nothing else.
"""

from __future__ import annotations

import copy
import os
import random
import re
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from swap.core.sql_text import verbatim
from swap.demo.load import Load, check
from tests.soak.disturbances import disturb
from tests.support.commands import RunningCli
from tests.support.migration import ROLES
from tests.support.mode import MODES, REQUESTED, current_mode
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Database, DatabaseServer, Execute, release
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
    restores: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)


class Soak:
    """Runs each command until it ends by itself, disturbing it now and then; the state is asked of `status`."""

    def __init__(self, op: Operator, server: DatabaseServer, admin: Execute, rng: random.Random, tally: Tally) -> None:
        self.op, self.server, self.admin, self.rng, self.tally = op, server, admin, rng, tally
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
        elif chance < 0.7:
            self._after_a_while(running)
            self.tally.disturbances[disturb(self.op.db.owner, self.rng)] += 1
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

    def restore(self) -> None:
        """A dump of this moment, restored in a database of its own and taken over: the run goes on there."""
        name, here = f"soak_restored_{self.tally.restores}", self.op.db
        command: list[str | Path] = [self.server.bindir / "pg_dump", "--inserts", "--encoding=UTF8", here.superuser]
        text = re.sub(r"(?m)^\\(un)?restrict .*$", "", subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        self.admin(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        there = Database(name, *(self.server.conninfo(name, u) for u in ("postgres", "swap_owner", "app")))
        try:
            for statements in (ROLES, text, "ANALYZE"):
                with closing(psycopg.connect(there.superuser, autocommit=True)) as conn:
                    conn.execute(verbatim(statements))
            op = copy.copy(self.op)
            op.db = there
            op("adopt-clone", "--yes")
            exchange = ("revert",) if op.status()["phase"] == "cut_over" else ("cutover", "--no-snapshot")
            for args in (("prepare",), ("sync", "--once"), ("verify",), (*exchange, "--yes"), ("sync", "--once"), ("verify",)):
                op(*args)
        finally:
            with closing(psycopg.connect(there.superuser, autocommit=True)) as conn:
                release(there.superuser)
                conn.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
                )
            self.admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        self.tally.restores += 1

    def cycle(self) -> None:
        for kind, phase in (("cutover", "cut_over"), ("revert", "syncing")):
            self.caught_up()
            self.command("verify")
            if self.rng.random() < 0.3:
                self.restore()
            self.command(kind, "--yes", *(["--no-snapshot"] if kind == "cutover" else []), done=phase)
            self.unfollow()
        self.tally.cycles += 1


@pytest.mark.soak
@pytest.mark.both_modes
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("variant", VARIANTS)
def test_soak(operator: MakeOperator, server: DatabaseServer, admin: Execute, variant: str, tell: Tell) -> None:
    op = operator(variant, users=2000, settings="[sync]\nchunk_target_ms = 20\n")
    tally, mode = Tally(), current_mode()
    soak = Soak(op, server, admin, random.Random(f"{SEED} {variant} {mode}"), tally)
    until = time.monotonic() + SHARE_S
    admin(sql.SQL("GRANT pg_monitor TO swap_owner"))  # so reads across the exchanges are exact, as they are by default with it
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
        f" {tally.crashes} crashes of the server, {tally.disturbances.total()} rewrites and changes of the structure,"
        f" {tally.restores} dumps restored; {report.acknowledged:,} rows acknowledged, {report.lost} lost"
        + ("" if report.ok else f"; wrong: {report}")
    )
    assert report.ok, report.details
    assert stats.errors == ()
    assert tally.cycles > 0
