"""Hooks: an operator's program, run before a cutover (the snapshot), right after its commit (the check), or for an event, outside any
transaction.

It runs without a shell, in a session and process group of its own, which is killed whole when its time is up. Its output is
read as it comes and kept in bounded memory. Its environment is minimal, so it holds no secret that it does not need (H41).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cutover.hook_output import SNAPSHOT_CHARS, Audience, Output, Teller, as_text
from swap.core.errors import StoppedError
from swap.core.libpq_environment import connection_variables
from swap.core.process import uninterrupted
from swap.hooks import resolve

HINT_CHARS = 300
KILL_AFTER_S = 5.0
POLL_S = 0.1
AFTERWARDS_S = 1.0  # to read the pipes empty when the program has ended
INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SWAP_SNAPSHOT_DIR")
INHERITED_PREFIXES = ("LC_", "PG")  # PGTZ, PGDATESTYLE, PGBACKREST_…; where to connect comes from the caller
SECRETS = ("PGPASSWORD",)
WITHHELD = ("SWAP_DSN",)
SNAPSHOT, CHECK = "pre_swap_snapshot", "post_swap_check"
NAMES = {SNAPSHOT: "snapshot hook", CHECK: "check after the cutover"}


@dataclass(frozen=True)
class HookResult:
    """How the hook ended. `snapshot`: its last line on stdout; `output`: the end of stdout and stderr together."""

    exit_code: int
    snapshot: str
    output: str
    seconds: float


@dataclass(frozen=True)
class HookCall:
    """What runs: `argv` in `cwd`, with `env` on top of a minimal environment, for `timeout_s` seconds or until `stop` is set.
    `audience`: who hears it meanwhile. `setting`: its name in [hooks]."""

    argv: Sequence[str]
    env: Mapping[str, str]
    timeout_s: float
    cwd: Path
    audience: Audience = field(default_factory=Audience)
    setting: str = SNAPSHOT
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return f"{NAMES.get(self.setting, f'hook {self.setting}')} {self.argv[0]}"


class HookError(StoppedError):
    """The hook ran and did not do its work; `result`: its exit code and output, for the journal."""

    def __init__(self, message: str, hint: str, result: HookResult) -> None:
        super().__init__(message, hint=hint)
        self.result = result


def run_hook(
    argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, cwd: Path, audience: Audience | None = None
) -> HookResult:
    """Run the snapshot hook: see HookCall and `run_call`."""
    return run_call(HookCall(argv, env, timeout_s, cwd, audience or Audience()))


def run_call(call: HookCall) -> HookResult:
    """A program with a slash in its name is looked up from `cwd`. Raises StoppedError when it cannot be started, fails,
    takes too long, or is the snapshot's and succeeds without naming one. KeyboardInterrupt ends it too, and propagates.
    """
    variables, heard = hook_environment(call.env), call.audience
    hidden = [*heard.secrets, *(v for k, v in variables.items() if k in SECRETS)]
    started = time.monotonic()
    output = Output()
    teller = Teller(call.name, heard.report, hidden, output, started)
    process: subprocess.Popen[bytes] | None = None
    finished = False
    try:
        with uninterrupted():  # between the fork and the assignment nobody would know what to kill
            process = _start(call, variables)
        finished = _follow(process, teller, started + call.timeout_s, call.stop)
    finally:
        if process is not None:
            if not finished:
                _kill(process, output)
            _close(process)
        teller.end()
    result = HookResult(
        process.returncode,
        as_text(output.last, hidden)[:SNAPSHOT_CHARS],
        as_text(output.tail, hidden),
        time.monotonic() - started,
    )
    return _judge(call, result, finished=finished)


def hook_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The hook's environment: a few inherited variables, and the caller's; never the DSN, which holds a password.

    The variables that decide where libpq connects come from the caller alone: a PGHOSTADDR or PGSERVICE of the shell would lead
    the hook elsewhere."""
    connecting = connection_variables()
    inherited = {
        k: v for k, v in os.environ.items() if (k in INHERITED or k.startswith(INHERITED_PREFIXES)) and k not in connecting
    }
    return {k: v for k, v in {**inherited, **env}.items() if k not in WITHHELD}


def _start(call: HookCall, env: dict[str, str]) -> subprocess.Popen[bytes]:
    started, cwd = resolve(call.argv), call.cwd
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
        _refuse(call, reason)
    except PermissionError:
        _refuse(call, "it is not executable for this user (chmod +x)")
    except (OSError, ValueError) as e:
        reason = e.strerror or str(e) if isinstance(e, OSError) else str(e)
        _refuse(call, f"{reason} (a script needs a #! line)")


def _refuse(call: HookCall, reason: str) -> NoReturn:
    hint = f"Correct [hooks] {call.setting}: argv without a shell, paths relative to the configuration file."
    raise StoppedError(f"The {call.name} could not be started: {reason}.", hint=hint)


def _follow(process: subprocess.Popen[bytes], teller: Teller, deadline: float, stop: threading.Event) -> bool:
    """Read both streams until the program has ended. False: the deadline came first, or `stop` was set.

    A process that it left in the background may hold the streams open. So its own end counts, not theirs.
    """
    output = teller.output
    with _streams(process) as selector:
        while True:
            teller.tell()
            left = deadline - time.monotonic()
            if ended := process.poll() is not None:
                deadline = min(deadline, time.monotonic() + AFTERWARDS_S)
            elif left <= 0 or stop.is_set():
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


def _read(selector: selectors.BaseSelector, output: Output, timeout_s: float) -> bool:
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


def _kill(process: subprocess.Popen[bytes], output: Output) -> None:
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


def _judge(call: HookCall, result: HookResult, *, finished: bool) -> HookResult:
    said = " ".join(result.output.split())[-HINT_CHARS:]
    hint = f"Its output ends: {said}" if said else "It printed nothing."
    if not finished:
        raise HookError(f"The {call.name} was still running after {call.timeout_s:g} s and was stopped.", hint, result)
    if result.exit_code < 0:
        raise HookError(f"The {call.name} was killed by signal {-result.exit_code}.", hint, result)
    if result.exit_code:
        raise HookError(f"The {call.name} failed with exit code {result.exit_code}.", hint, result)
    if call.setting == SNAPSHOT and not result.snapshot:
        hint += " A hook must print the snapshot's id or path as its last line on stdout."
        raise HookError(f"The {call.name} succeeded without naming a snapshot.", hint, result)
    return result
