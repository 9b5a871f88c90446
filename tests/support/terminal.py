"""A command on a terminal: what it shows there, and answers to its questions."""

from __future__ import annotations

import codecs
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.commands import ROOT
from tests.support.waiting import wait_until

TIMEOUT_S = 60.0


class Terminal:
    """A command whose stderr and stdin are a terminal, and stdout too unless `piped`."""

    def __init__(self, args: tuple[str, ...], config: Path, dsn: str, *, piped: bool) -> None:
        self.fd, inner = pty.openpty()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))}
        env |= {"PYTHONPATH": str(ROOT), "SWAP_DSN": dsn, "SWAP_CONFIG": str(config), "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swap", *args],
            env=env, stdin=inner, stderr=inner, stdout=subprocess.PIPE if piped else inner, text=True, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.shown, self.decoder = "", codecs.getincrementaldecoder("utf-8")("replace")  # a read may end inside a character

    def until(self, found: Callable[[str], object]) -> str:
        """Everything shown, as soon as `found` says so of it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not found(self.shown):
            assert time.monotonic() < deadline, self.shown
            self._read()
        return self.shown

    def until_shown(self, text: str) -> str:
        return self.until(lambda shown: text in shown)

    def answer(self, text: str) -> None:
        self.type(text.encode() + b"\n")

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C at a question: not before it is waited for, or Python has seen the signal and then reads on."""
        me = psutil.Process(self.process.pid)
        wait_until(lambda: me.status() == psutil.STATUS_SLEEPING, what="the question is waited at")
        me.send_signal(number)

    def end(self) -> int:
        while self._read():
            pass
        return self.process.wait(TIMEOUT_S)

    def _read(self) -> bool:
        """False: nobody has the terminal open any more."""
        if select.select([self.fd], [], [], 1)[0]:
            try:
                self.shown += self.decoder.decode(os.read(self.fd, 65536))
            except OSError:
                return False
        return True


OnTerminal = Callable[..., Terminal]


@pytest.fixture
def on_terminal() -> Iterator[OnTerminal]:
    """Factory: a command on a terminal of its own, ended after the test."""
    made: list[Terminal] = []

    def start(*args: str, config: Path, dsn: str, piped: bool = False) -> Terminal:
        made.append(Terminal(args, config, dsn, piped=piped))
        return made[-1]

    yield start
    for terminal in made:
        terminal.process.kill()
        terminal.process.wait(TIMEOUT_S)
        if terminal.process.stdout is not None:
            terminal.process.stdout.close()
        os.close(terminal.fd)
