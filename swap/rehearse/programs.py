"""Programs of the operator's, on the clone: checks, and a load of their own. Without a shell, with the clone's connection in the
environment (`DATABASE_URL` and libpq's `PG*`), and in a process group of their own, which is ended as a whole."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from swap.core.errors import UsageError
from swap.core.printable import printable
from swap.core.secrets import mask
from swap.rehearse.child import Child, Finished, Tail, end_group
from swap.rehearse.environment import clean_environment, find_client
from swap.rehearse.watchdog import Watchdog

AGAIN_S = 0.5  # between two starts of a load that ends by itself
STATE, URL = "SWAP_REHEARSAL_STATE", "DATABASE_URL"
SCRIPT_CLIENTS, SCRIPT_RATE = 3, 90


@dataclass(frozen=True)
class Programs:
    """`variables`: libpq's, of the clone; `url`: the same as one DSN; `secrets`: what no output may show. `directory`: where paths
    of the operator begin."""

    variables: Mapping[str, str]
    url: str
    secrets: Sequence[str]
    directory: Path
    watchdog: Watchdog = field(default_factory=Watchdog)

    def run(self, command: str, state: str, timeout_s: float) -> Finished:
        """One program to its end, or until its time is up: then its code is that of the signal that ended it. `out`: the end of stdout
        and stderr."""
        argv = split(command)
        with _started(argv):
            done = Child(argv, self._environment(state), self.directory, timeout_s, merged=True).run(self.watchdog)
        return replace(done, out=self._shown(done.out))

    @contextmanager
    def running(self, argv: list[str]) -> Iterator[Background]:
        """A program beside the block, started again when it ends."""
        with Tail() as output:
            background = Background(self, argv, output)
            background.look()  # here: what cannot be started is an error of the command line
            watcher = threading.Thread(target=background.watch, name="load", daemon=True)
            watcher.start()
            try:
                yield background
            finally:
                background.stopping.set()
                watcher.join()
                background.stop()
                background.said = self._shown(output.end())

    def _start(self, argv: list[str], state: str, output: Tail) -> subprocess.Popen[bytes]:
        with _started(argv):
            return subprocess.Popen(
                argv, cwd=self.directory, env=self._environment(state), stdin=subprocess.DEVNULL, stdout=output.writing,
                stderr=output.writing, start_new_session=True,
            )  # fmt: skip

    def _environment(self, state: str) -> dict[str, str]:
        return clean_environment(**self.variables, **{URL: self.url, STATE: state})

    def _shown(self, output: str) -> str:
        return printable(mask(output, self.secrets)).strip()


@dataclass
class Background:
    """`ends`: the codes with which it ended by itself."""

    programs: Programs
    argv: list[str]
    output: Tail
    ends: list[int] = field(default_factory=list)
    said: str = ""
    process: subprocess.Popen[bytes] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    _watched: int | None = None

    def watch(self) -> None:
        """Until it is stopped. A program that is gone meanwhile is not started again."""
        while not self.stopping.wait(AGAIN_S):
            with suppress(UsageError):
                self.look()

    def look(self) -> None:
        """Start it, again where it has ended."""
        if self.process is not None:
            if self.process.poll() is None:
                return
            self.ends.append(self.process.returncode)
            self._unwatch()
        self.process = self.programs._start(self.argv, "load", self.output)
        self._watched = self.programs.watchdog.add(group=self.process.pid)

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.ends.append(self.process.returncode)
        end_group(self.process)
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watched is not None:
            self.programs.watchdog.done(self._watched)


@contextmanager
def _started(argv: Sequence[str]) -> Iterator[None]:
    """Raises UsageError where the program cannot be started."""
    try:
        yield
    except OSError as e:
        raise UsageError(
            f"{argv[0]} could not be started: {e.strerror}.",
            state="The cycle was ended; a clone that this command made is removed.",
            hint='Name a program and its arguments; there is no shell in between (sh -c "make load" starts one).',
        ) from None


def split(command: str) -> list[str]:
    """The words of a command. Raises UsageError."""
    try:
        words = shlex.split(command)
    except ValueError as e:
        raise UsageError(f"{command[:100]!r} is no command: {e}.", hint="Close its quotes.") from None
    if not words:
        raise UsageError("A command is empty.", hint="Name a program with --check, --load or --hook.")
    return words


def refuse_program(command: str, directory: Path) -> None:
    """Raises UsageError before a clone is made for a command whose program is not there."""
    name = split(command)[0]
    if shutil.which(name if os.sep not in name else str(directory / name)) is None:
        missing = (
            f"There is no script {command!r} in {directory}" if command.endswith(".sql") else f"There is no program {name!r}"
        )
        raise UsageError(
            f"{missing}.", hint="Name a program and its arguments; there is no shell in between (write sh -c '…' for one)."
        )


def is_script(load: str, directory: Path) -> bool:
    """Whether `--load` names a script of pgbench, and not a command."""
    return load.endswith(".sql") and (directory / load).is_file()


def pgbench_argv(script: Path, server_version: int, log: Path) -> list[str]:
    """pgbench with that script, until it is ended; every transaction is a line of files that begin with `log`. Raises UsageError."""
    pgbench = find_client("pgbench", server_version)
    return [
        str(pgbench), "--no-vacuum", f"--file={script.resolve()}", f"--client={SCRIPT_CLIENTS}", f"--rate={SCRIPT_RATE}", "--time=864000",
        "--max-tries=100", "--log", f"--log-prefix={log}",
    ]  # fmt: skip
