"""The snapshot hook: an operator's program, run before a cutover (and a revert) outside any transaction.

It runs without a shell, in a session and process group of its own, which is killed whole when its time is up. Its output is
read as it comes and kept in bounded memory. Its environment is minimal, so it holds no secret that it does not need (H41).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from swap.core.errors import StoppedError
from swap.core.libpq_environment import connection_variables
from swap.core.printable import printable
from swap.core.process import uninterrupted
from swap.core.report import Reporter, Silent
from swap.core.secrets import mask
from swap.hooks import resolve

TAIL_BYTES = 8192
SNAPSHOT_CHARS = 500
HINT_CHARS = 300
KILL_AFTER_S = 5.0
POLL_S = 0.1
TELL_EVERY_S, TIME_EVERY_S = 1.0, 5.0
TOLD_LINES, TOLD_CHARS = 5, 200  # of one second, and of one line
AFTERWARDS_S = 1.0  # to read the pipes empty when the program has ended
INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SWAP_SNAPSHOT_DIR")
INHERITED_PREFIXES = ("LC_", "PG")  # PGTZ, PGDATESTYLE, PGBACKREST_…; where to connect comes from the caller
SECRETS = ("PGPASSWORD",)
WITHHELD = ("SWAP_DSN",)


@dataclass(frozen=True)
class HookResult:
    """How the hook ended. `snapshot`: its last line on stdout; `output`: the end of stdout and stderr together."""

    exit_code: int
    snapshot: str
    output: str
    seconds: float


@dataclass(frozen=True)
class Audience:
    """Who hears the hook while it runs: `report` gets its newest lines and how long it has been running. `secrets` are masked in all
    that it prints, in every form."""

    report: Reporter = field(default_factory=Silent)
    secrets: Sequence[str] = ()


class HookError(StoppedError):
    """The hook ran and did not do its work; `result`: its exit code and output, for the journal."""

    def __init__(self, message: str, hint: str, result: HookResult) -> None:
        super().__init__(message, hint=hint)
        self.result = result


@dataclass
class _Output:
    """The tail of everything, and the last non-empty line of stdout: bounded, however much is printed."""

    tail: bytearray = field(default_factory=bytearray)
    line: bytearray = field(default_factory=bytearray)
    last: bytes = b""
    lines: int = 0  # that were read
    newest: deque[bytes] = field(default_factory=lambda: deque(maxlen=TOLD_LINES))

    def add(self, data: bytes, *, stdout: bool) -> None:
        self.tail += data
        del self.tail[:-TAIL_BYTES]
        found = [line[:TOLD_CHARS] for line in data.splitlines() if line.strip()]
        self.lines += len(found)
        self.newest.extend(found)
        if not stdout:
            return
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._extend(part)
            self.end_line()
        self._extend(rest)

    def _extend(self, part: bytes) -> None:
        self.line += part[: 4 * SNAPSHOT_CHARS - len(self.line)] if len(self.line) < 4 * SNAPSHOT_CHARS else b""

    def end_line(self) -> None:
        if self.line.strip():
            self.last = bytes(self.line)
        self.line.clear()


@dataclass
class _Teller:
    """Tells the audience: the newest lines once a second, however many there are, and the time."""

    program: str
    report: Reporter
    hidden: Sequence[str]
    output: _Output
    began: float
    told: int = 0
    told_at: float = 0.0
    time_at: float = 0.0

    def tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self.time_at >= TIME_EVERY_S:
            self.time_at = now
            self.report.waiting(f"the snapshot hook {self.program} has been running for {now - self.began:.0f} s")
        if self.output.lines == self.told or (now - self.told_at < TELL_EVERY_S and not at_once):
            return
        more = self.output.lines - self.told - len(self.output.newest)
        if more > 0:
            self.report.note(f"hook: … {more} more lines")
        for line in self.output.newest:
            self.report.note(f"hook: {_text(line, self.hidden)}")
        self.output.newest.clear()
        self.told, self.told_at = self.output.lines, now

    def end(self) -> None:
        self.tell(at_once=True)
        self.report.waiting("")


def run_hook(
    argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, cwd: Path, audience: Audience | None = None
) -> HookResult:
    """Run `argv` in `cwd` with `env` on top of a minimal environment, for `timeout_s` seconds at most. `audience`: who hears it
    meanwhile.

    A program with a slash in its name is looked up from `cwd`. Raises StoppedError when it cannot be started, fails,
    takes too long, or succeeds without naming a snapshot. KeyboardInterrupt ends it too, and propagates.
    """
    variables, heard = hook_environment(env), audience or Audience()
    hidden = [*heard.secrets, *(v for k, v in variables.items() if k in SECRETS)]
    started = time.monotonic()
    output = _Output()
    teller = _Teller(argv[0], heard.report, hidden, output, started)
    process: subprocess.Popen[bytes] | None = None
    finished = False
    try:
        with uninterrupted():  # between the fork and the assignment nobody would know what to kill
            process = _start(argv, variables, cwd)
        finished = _follow(process, teller, started + timeout_s)
    finally:
        if process is not None:
            if not finished:
                _kill(process, output)
            _close(process)
        teller.end()
    result = HookResult(
        process.returncode,
        _text(output.last, hidden)[:SNAPSHOT_CHARS],
        _text(output.tail, hidden),
        time.monotonic() - started,
    )
    return _judge(argv[0], result, None if finished else timeout_s)


def hook_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The hook's environment: a few inherited variables, and the caller's; never the DSN, which holds a password.

    The variables that decide where libpq connects come from the caller alone: a PGHOSTADDR or PGSERVICE of the shell would lead
    the hook elsewhere."""
    connecting = connection_variables()
    inherited = {
        k: v for k, v in os.environ.items() if (k in INHERITED or k.startswith(INHERITED_PREFIXES)) and k not in connecting
    }
    return {k: v for k, v in {**inherited, **env}.items() if k not in WITHHELD}


def _start(argv: Sequence[str], env: dict[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    started = resolve(argv)
    program = str((cwd / started[0]).absolute()) if "/" in started[0] else started[0]
    try:
        return subprocess.Popen(
            [program, *started[1:]],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError:
        reason = "there is no such program" if cwd.is_dir() else f"its directory {cwd} does not exist"
        _refuse(argv[0], reason)
    except PermissionError:
        _refuse(argv[0], "it is not executable for this user (chmod +x)")
    except (OSError, ValueError) as e:
        reason = e.strerror or str(e) if isinstance(e, OSError) else str(e)
        _refuse(argv[0], f"{reason} (a script needs a #! line)")


def _refuse(program: str, reason: str) -> NoReturn:
    hint = "Correct [hooks] pre_swap_snapshot: argv without a shell, paths relative to the configuration file."
    raise StoppedError(f"The snapshot hook {program} could not be started: {reason}.", hint=hint)


def _follow(process: subprocess.Popen[bytes], teller: _Teller, deadline: float) -> bool:
    """Read both streams until the program has ended. False: the deadline came first.

    A process that it left in the background may hold the streams open. So its own end counts, not theirs.
    """
    output = teller.output
    with _streams(process) as selector:
        while True:
            teller.tell()
            left = deadline - time.monotonic()
            if ended := process.poll() is not None:
                deadline = min(deadline, time.monotonic() + AFTERWARDS_S)
            elif left <= 0:
                return False
            busy = _read(selector, output, 0 if ended else min(left, POLL_S))
            if ended and (not busy or left <= 0):
                output.end_line()
                return True
            if not selector.get_map() and not ended:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, POLL_S))


def _streams(process: subprocess.Popen[bytes]) -> selectors.BaseSelector:
    selector = selectors.DefaultSelector()
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ, stream is process.stdout)
    return selector


def _read(selector: selectors.BaseSelector, output: _Output, timeout_s: float) -> bool:
    """Read once from each stream that is ready. Returns whether anything came."""
    came = False
    for key, _ in selector.select(timeout_s):
        data = os.read(key.fd, 65536)
        came = came or bool(data)
        if data:
            output.add(data, stdout=key.data)
        else:
            selector.unregister(key.fileobj)
    return came


def _kill(process: subprocess.Popen[bytes], output: _Output) -> None:
    """SIGTERM to the whole group, SIGKILL after `KILL_AFTER_S`. The leader is not reaped in between: its group id stays ours."""
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + KILL_AFTER_S
    with suppress(KeyboardInterrupt), _streams(process) as selector:
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            _read(selector, output, left)
    output.end_line()
    _signal(process, signal.SIGKILL)
    process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _judge(program: str, result: HookResult, timeout_s: float | None) -> HookResult:
    said = " ".join(result.output.split())[-HINT_CHARS:]
    hint = f"Its output ends: {said}" if said else "It printed nothing."
    if timeout_s is not None:
        raise HookError(f"The snapshot hook {program} was still running after {timeout_s:g} s and was stopped.", hint, result)
    if result.exit_code < 0:
        raise HookError(f"The snapshot hook {program} was killed by signal {-result.exit_code}.", hint, result)
    if result.exit_code:
        raise HookError(f"The snapshot hook {program} failed with exit code {result.exit_code}.", hint, result)
    if not result.snapshot:
        hint += " A hook must print the snapshot's id or path as its last line on stdout."
        raise HookError(f"The snapshot hook {program} succeeded without naming a snapshot.", hint, result)
    return result


def _text(data: bytes | bytearray, secrets: Sequence[str]) -> str:
    """Printable text without control codes, and without a password the hook may have printed. A progress bar's carriage returns
    are line feeds."""
    text = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return printable(mask(text, secrets)).strip().encode()[-TAIL_BYTES:].decode(errors="ignore")
