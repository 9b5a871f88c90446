"""An application under traffic, as a process of its own environment, and the steps of a migration that it lives through."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT, Cli, CliResult
from tests.support.pooling import PROGRAM, PgBouncer
from tests.support.servers import Database
from tests.support.waiting import wait_until

ENVIRONMENT = ROOT / ".venv-apps"
PYTHON = ENVIRONMENT / "bin" / "python"
ENOUGH = 60
# A busy machine is slow, not wrong.
PATIENT = "[cutover]\nmax_lock_hold_ms = 20000\n"
PATIENT_PAUSE = "pause_timeout_ms = 10000\n"
PATIENCE_S = 600.0  # five processes beside the server: a busy machine takes minutes


@dataclass
class Seen:
    """What one release noticed in one step."""

    step: str
    release: str
    requests: int
    errors: dict[str, int]
    failing_s: float
    longest_ms: int


class Application:
    """One release, running. `argv`: a program that speaks as `tests/apps/traffic.py` does."""

    def __init__(self, release: str, argv: list[str], env: Mapping[str, str], log: Path, cwd: Path = ROOT) -> None:
        self.release, self.log = release, log
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_", "PYTHON", "DJANGO"))}
        with log.open("a") as stderr:
            self.process = subprocess.Popen(
                argv, cwd=cwd, env=kept | dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        try:
            assert self._line() == "ready"
        except BaseException:
            self.kill()
            raise

    def take(self, step: str) -> Seen:
        """What it noticed since the last look."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        return Seen(step, self.release, **json.loads(self._line()))

    def stop(self, step: str) -> Seen:
        """Let every worker finish its request."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        seen = Seen(step, self.release, **json.loads(self._line()))
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return seen

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, f"{self.release} said nothing\n{self.log.read_text()[-4000:]}"
        return line


@dataclass
class Journey:
    """The releases of one application, one after another or two at once, and the commands of `swap` meanwhile."""

    cli: Cli
    db: Database
    directory: Path
    name: str
    commands: dict[str, tuple[list[str], Mapping[str, str]]]
    running: dict[str, Application] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "swap.toml"

    def start(self, release: str) -> None:
        argv, env = self.commands[release]
        self.running[release] = Application(release, argv, env, self.directory / f"{release}.log")

    def replace(self, old: str, new: str, step: str) -> None:
        """A rolling deployment: for a while both serve."""
        self.start(new)
        self.serve(f"{step} (both)")
        self.seen.append(self.running.pop(old).stop(f"{step} (both)"))

    def serve(self, step: str, requests: int = ENOUGH) -> None:
        """So many more requests of each release that runs; they count for `step`."""
        for application in self.running.values():
            done = 0

            def enough(application: Application = application) -> bool:
                nonlocal done
                seen = application.take(step)
                self.seen.append(seen)
                done += seen.requests
                return done >= requests

            wait_until(enough, PATIENCE_S, f"{application.release} serves {requests} requests")

    def swap(self, *args: str, step: str = "") -> CliResult:
        """One command, and some traffic after it, that count for this step."""
        result = self.cli(*args, config=self.config, dsn=self.db.owner, timeout_s=PATIENCE_S)
        self.serve(step or args[0])
        return result

    def configure(self, settings: str, pooler: PgBouncer | None = None) -> None:
        self.config.write_text(settings + PATIENT + (pooler.settings(PATIENT_PAUSE) if pooler else ""), encoding="utf-8")

    def whole_cycle(self, *, unready: bool = False) -> None:
        """The integer release until `sync` is through, the compat release over all exchanges, the uuid release to the end.
        `unready`: instances of the integer release still serve at the first cutover."""
        self.start("integer")
        self.serve("before")
        self.swap("prepare")
        self.swap("sync", "--once")
        sync = self.cli.start("sync", config=self.config, dsn=self.db.owner)
        if unready:
            self.start("compat")
        else:
            self.replace("integer", "compat", "deploy compat")
        self.serve("compat, before the cutover")
        self.swap("verify")
        for exchange in ("cutover", "revert", "cutover again"):
            command = exchange.split()[0]
            self.swap(command, "--yes", *(["--no-snapshot"] if command == "cutover" else []), step=exchange)
            if unready and exchange == "cutover":
                self.seen.append(self.running.pop("integer").stop("cutover"))
            self.swap("verify")
        self.replace("compat", "uuid", "deploy uuid")
        self.serve("uuid, before finalize")
        sync.interrupt()
        self.swap("finalize", "--yes")
        self.serve("after")

    def publish(self) -> None:
        """Where SWAP_APPS_REPORT names a file, to its end."""
        if path := os.environ.get("SWAP_APPS_REPORT"):
            with Path(path).open("a", encoding="utf-8") as out:
                out.write(self.report() + "\n")

    def table(self) -> list[Seen]:
        """Step by step, each with all its looks."""
        whole: dict[tuple[str, str], Seen] = {}
        for s in self.seen:
            one = whole.setdefault((s.step, s.release), Seen(s.step, s.release, 0, {}, 0.0, 0))
            one.requests += s.requests
            one.errors = dict(Counter(one.errors) + Counter(s.errors))
            one.failing_s += s.failing_s
            one.longest_ms = max(one.longest_ms, s.longest_ms)
        return list(whole.values())

    def report(self) -> str:
        """Step by step; docs/frameworks.md sums it up."""
        rows = [
            f"| {self.name} | {s.step} | {s.release} | {s.requests} | {sum(s.errors.values())} | {s.longest_ms} ms |"
            for s in self.table()
        ]
        kinds = [
            f"  {s.step}, {s.release}, {s.failing_s:.1f} s: {n} of {kind}" for s in self.table() for kind, n in s.errors.items()
        ]
        return "\n".join([*rows, *kinds])

    def errors(self) -> dict[str, int]:
        total = Counter[str]()
        for s in self.seen:
            total.update(s.errors)
        return dict(total)

    def close(self) -> None:
        for application in self.running.values():
            application.kill()


@pytest.fixture
def journeys(cli: Cli, database: Database, tmp_path: Path) -> Iterator[Any]:
    """Factory: `journeys("Django", {release: (argv, env)})`, each at this test's database; every process is ended afterwards."""
    with ExitStack() as stack:

        def make(name: str, commands: dict[str, tuple[list[str], Mapping[str, str]]], db: Database = database) -> Journey:
            journey = Journey(cli, db, tmp_path, name, commands)
            stack.callback(journey.close)
            return journey

        yield make


def need_applications() -> None:
    """Skips, with the reason, where the environment or PgBouncer is not there."""
    if not PYTHON.exists() or not (ENVIRONMENT / "installed").exists():
        pytest.skip(f"{ENVIRONMENT.name} is not installed: make test-apps")
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed (Debian: pgbouncer)")
