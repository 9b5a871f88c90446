"""`swap demo`: the whole cycle with the real commands, on a private server, while the example application writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from swap.core.errors import SwapError, UsageError
from swap.demo.app import install
from swap.demo.load import LedgerReport, Load, check
from swap.demo.server import Server

MORE = 300  # transactions between two steps


class DemoFailedError(SwapError):
    """A command of the demo's cycle failed, or a write was lost."""

    default_state = "The demo's private server is stopped and removed."
    default_hint = "Run it again with -v, and report it with that output."


@dataclass
class Summary:
    """The result of the demo. Times in milliseconds, except `seconds`."""

    variant: str
    users: int
    mode: str = "trigger"
    acknowledged_writes: int = 0
    lost_writes: int = 0
    longest_write_stall_ms: float = 0.0
    locked_ms: list[float] = field(default_factory=list)
    rows_verified: int = 0
    seconds: float = 0.0
    snapshot: str | None = None
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        locks = ", ".join(f"{ms:.0f}" for ms in self.locked_ms)
        return [
            "",
            f"example application ({self.variant}), {self.mode} capture, {self.users:,} users, the whole cycle in {self.seconds:.0f} s",
            f"  acknowledged writes      {self.acknowledged_writes:,}",
            f"  lost or wrong writes     {self.lost_writes:,}",
            f"  longest write stall      {self.longest_write_stall_ms:.0f} ms",
            f"  under lock               {locks} ms (cutover, revert, cutover)",
            f"  rows verified            {self.rows_verified:,}",
            f"  snapshot                 {self.snapshot or 'none'}",
            *(f"  problem: {p}" for p in self.problems[:10]),
        ]


class Cycle:
    """Runs commands with one configuration against one database."""

    def __init__(self, dsn: str, directory: Path, *, quiet: bool) -> None:
        self.dsn, self.directory, self.quiet = dsn, directory, quiet
        self.config = directory / "swap.toml"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))},
            "SWAP_DSN": dsn,
            "SWAP_CONFIG": str(self.config),
        }

    def say(self, text: str) -> None:
        stream = sys.stderr if self.quiet else sys.stdout
        stream.write(text + "\n")
        stream.flush()

    def run(self, *args: str) -> dict[str, Any]:
        """Run one command with --json, and return its document. Raises DemoFailedError."""
        self.say(f"$ swap {' '.join(args)}")
        done = subprocess.run(
            [sys.executable, "-m", "swap", *args, "--json"],
            env=self.environment, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        document = json.loads(done.stdout or "{}")
        if done.returncode != 0:
            error = document.get("error") or {"message": done.stdout[-2000:]}
            raise DemoFailedError(f"`swap {' '.join(args)}` ended with {done.returncode}: {error['message']}")
        return dict(document)

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Run `swap sync` in the background during the block; SIGTERM stops it."""
        self.say("$ swap sync &")
        with (self.directory / "sync.log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "swap", "sync"], env=self.environment, stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                process.wait(timeout=60)


def run_demo(*, variant: str, users: int, mode: str, as_json: bool) -> int:
    """Returns 0 when no write was lost, else 1. Stops and removes everything that it starts. Raises UsageError and
    DemoFailedError."""
    if variant not in ("adopt", "fresh"):
        raise UsageError("--variant is adopt or fresh.")
    if mode not in ("trigger", "logical"):
        raise UsageError("--mode is trigger or logical.")
    chosen: Literal["adopt", "fresh"] = "adopt" if variant == "adopt" else "fresh"
    began = time.monotonic()
    with Server.start("18") as server:
        directory = server.layout.base / "demo"  # goes with the server, also when this process is killed
        directory.mkdir(mode=0o700)
        install(server.conninfo("postgres"), chosen, users=users, replication=mode == "logical")
        cycle = Cycle(server.conninfo("postgres", user="swap_owner"), directory, quiet=as_json)
        cycle.say(
            f"PostgreSQL 18 on a private socket, {users:,} users ({variant}), {mode} capture; the application writes from now on"
        )
        summary = Summary(variant, users, mode)
        load = Load(server.conninfo("postgres", user="app"), workers=3, rate=150)
        with load:
            _cycle(cycle, load, summary, server.bindir)
            stats = load.stop()
            report = check(server.conninfo("postgres"), load)
    summary.seconds = time.monotonic() - began
    summary.acknowledged_writes = stats.acknowledged
    summary.longest_write_stall_ms = stats.longest_stall_ms
    summary.problems = [*stats.errors, *report.details]
    summary.lost_writes = _wrong(report)
    if as_json:
        sys.stdout.write(json.dumps(asdict(summary), indent=2) + "\n")
    else:
        for line in summary.lines():
            cycle.say(line)
    return 0 if report.ok and not stats.errors else 1


def _wrong(report: LedgerReport) -> int:
    return report.lost + report.duplicated + report.unexpected + report.mismatched + report.mismapped


def _cycle(cycle: Cycle, load: Load, summary: Summary, bindir: Path) -> None:
    cycle.run("init", "public.users", "--out", str(cycle.config), "--force")
    dump = f"'{bindir}/pg_dump' -Fd -f '{cycle.directory}/snapshot-'$SWAP_LSN && echo '{cycle.directory}/snapshot-'$SWAP_LSN"
    text = cycle.config.read_text(encoding="utf-8").replace('# mode = "trigger"', f'mode = "{summary.mode}"')
    hooks = "\n[hooks]\npre_swap_snapshot = " + json.dumps(["sh", "-c", dump.replace("$SWAP_LSN", '"$SWAP_XID"')]) + "\n"
    cycle.config.write_text(text + hooks, encoding="utf-8")
    cycle.run("doctor")
    cycle.run("prepare")
    cycle.run("sync", "--once")
    with cycle.syncing():
        _verify(cycle, summary)
        _exchange(cycle, load, summary, "cutover")
        _verify(cycle, summary)
        _exchange(cycle, load, summary, "revert")
        _verify(cycle, summary)
        _exchange(cycle, load, summary, "cutover")
        _verify(cycle, summary)
        cycle.run("finalize", "--yes")
        load.wait_for(MORE, timeout=60)


def _verify(cycle: Cycle, summary: Summary) -> None:
    report = cycle.run("verify")
    rows = sum(t["rows"] for t in report["tables"])
    summary.rows_verified += rows
    cycle.say(f"  {report['verdict']}: {rows:,} rows")


def _exchange(cycle: Cycle, load: Load, summary: Summary, kind: str) -> None:
    done = cycle.run(kind, "--yes")
    summary.locked_ms.append(done["locked_ms"])
    summary.snapshot = done.get("snapshot") or summary.snapshot
    cycle.say(f"  {done['outcome']} in attempt {done['attempts']}, {done['locked_ms']:.0f} ms under lock")
    load.wait_for(MORE, timeout=60)
