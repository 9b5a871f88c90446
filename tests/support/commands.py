"""The real command, as users run it: a process with its own environment, no terminal, and a time limit.

It is forked from one that has imported `swap` already (`tests.support.zygote`); SWAP_TEST_FORK=0 starts an interpreter instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.support.waiting import PATIENCE_S, POLL_INTERVAL_S, T
from tests.support.zygote import Forked, Zygote

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class CliResult:
    """How a command ended. `json` is stdout's document when `--json` was given, else None."""

    args: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    json: Any = None


class RunningCli:
    """A started command. Its output is read as it comes, so a full pipe never stops it."""

    def __init__(self, args: tuple[str, ...], process: subprocess.Popen[str] | Forked) -> None:
        self.args = args
        self.process = process
        self._lines: list[str] = []
        self._seen = 0
        self._changed = threading.Condition()
        self._open_streams = 2
        self._ended = False
        self._text: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_line(self, pattern: str, timeout_s: float = PATIENCE_S) -> str:
        """The next line, of stdout or stderr, that matches the regular expression; lines before it are passed
        over.

        Raises AssertionError, with the output so far, on a timeout or when the command ends first.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                while self._seen < len(self._lines):
                    line = self._lines[self._seen]
                    self._seen += 1
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                if self._open_streams == 0 or left <= 0:
                    why = "ended" if self._open_streams == 0 else f"said nothing like it for {timeout_s} s"
                    raise AssertionError(f"no line matches {pattern!r}: the command {why}\n{self.output()}")
                self._changed.wait(left)

    def until(self, predicate: Callable[[], T], timeout_s: float, what: str) -> T:
        """Poll until the predicate's value is true, and return it. Raises AssertionError with the command's output when the
        command ends first, or after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not (value := predicate()):
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                why = f"the command ended with {ended}" if ended is not None else f"not within {timeout_s} s"
                raise AssertionError(f"{what}: {why}\n{self.output()}")
            time.sleep(POLL_INTERVAL_S)
        return value

    def wait(self, timeout_s: float = TIMEOUT_S) -> CliResult:
        """Wait for the end. Past the timeout the command is killed and AssertionError raised, with its
        output.
        """
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"{self.args} still ran after {timeout_s} s\n{self.output()}") from None
        self._join_readers()
        stdout = "".join(self._text["stdout"])
        document = json.loads(stdout) if "--json" in self.args and stdout else None
        return CliResult(self.args, code, stdout, "".join(self._text["stderr"]), document)

    def interrupt(self, timeout_s: float = TIMEOUT_S) -> CliResult:
        """SIGINT to the command alone, then wait."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(timeout_s)

    def terminate(self, timeout_s: float = TIMEOUT_S) -> CliResult:
        """SIGTERM, then wait."""
        self.process.terminate()
        return self.wait(timeout_s)

    def kill(self, timeout_s: float = TIMEOUT_S) -> CliResult:
        """SIGKILL to the command alone: what it started lives on, as after a real crash."""
        self.process.kill()
        return self.wait(timeout_s)

    def end(self) -> None:
        """Kill the command's process group: itself, if it still runs, and what it left behind. Idempotent.

        A group without its leader is known by its session: the number of a leader that was reaped may be anybody's.
        """
        if self._ended:
            return
        self._ended = True
        if self.process.returncode is None or self._left_behind():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)
        self._join_readers()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _left_behind(self) -> bool:
        """Whether a process of the command's own session lives on; a new process of that number would lead another."""
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.process.pid and pid != self.process.pid:
                    return True
        return False

    def _join_readers(self) -> None:
        """Read what is left. A child that outlives the command keeps its pipes open, so not for ever."""
        for reader in self._readers:
            reader.join(DRAIN_TIMEOUT_S)

    def output(self) -> str:
        return "\n".join(self._lines[-60:])

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._text[name].append(line)
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()


@dataclass
class Cli:
    """Runs `swap`. PG* and SWAP_* variables of the developer's own shell never reach it."""

    cwd: Path
    started: list[RunningCli]
    zygote: Zygote | None = None

    def __call__(
        self,
        *args: str,
        config: Path | None = None,
        dsn: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        stdin: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> CliResult:
        """Run to the end. With `check`, an exit code other than 0 is an AssertionError that carries the
        output.
        """
        running = self.start(*args, config=config, dsn=dsn, env=env, stdin=stdin)
        result = running.wait(timeout_s)
        if check and result.code != 0:
            raise AssertionError(f"swap {' '.join(args)}: exit code {result.code}\n{result.stdout}{result.stderr}")
        return result

    def start(
        self,
        *args: str,
        config: Path | None = None,
        dsn: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> RunningCli:
        """Start and return at once; ended after the test if it still runs. `dsn` and `config` go by SWAP_DSN,
        SWAP_CONFIG.
        """
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))}
        # Line by line, as a terminal would show it: wait_line must not wait for a full buffer.
        variables |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        if dsn is not None:
            variables["SWAP_DSN"] = dsn
        if config is not None:
            variables["SWAP_CONFIG"] = str(config)
        variables |= dict(env or {})
        process = self._forked(args, variables, stdin) if self.zygote else self._interpreted(args, variables, stdin)
        running = RunningCli(args, process)
        self.started.append(running)
        if stdin is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(stdin)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return running

    def _forked(self, args: tuple[str, ...], env: dict[str, str], stdin: str | None) -> Forked:
        assert self.zygote is not None
        return self.zygote.start(list(args), self.cwd, env, stdin=stdin is not None)

    def _interpreted(self, args: tuple[str, ...], env: dict[str, str], stdin: str | None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "swap", *args],
            cwd=self.cwd,
            env=env,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote | None]:
    """None where commands are started by an interpreter of their own."""
    if sys.platform != "linux" or os.environ.get("SWAP_TEST_FORK") == "0":
        yield None
        return
    made = Zygote()
    yield made
    made.close()


@pytest.fixture
def cli(tmp_path: Path, zygote: Zygote | None) -> Iterator[Cli]:
    """The command, in a working directory of the test's own (no stray swap.toml)."""
    made = Cli(tmp_path, [], zygote)
    yield made
    for running in made.started:
        running.end()
