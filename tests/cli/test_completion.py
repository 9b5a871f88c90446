"""Completion, typed into real shells: what the Tab key makes of a command, an option, a value and a file."""

from __future__ import annotations

import codecs
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import ROOT, Cli
from tests.support.waiting import PATIENCE_S

PROMPT = "ready @ "
START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SETUP = {
    "bash": "PS1='ready'' @ '; source swap.bash",  # two words here: the echo of this line is no prompt
    "zsh": "PROMPT='ready'' @ '; autoload -Uz compinit; compinit -u -D; source ./swap.zsh",
}
CASES = [
    ("swap stat", "us"),
    ("swap verify --metrics-p", "ort"),
    ("swap verify --method che", "cksum"),
    ("swap status --config setti", "ngs.toml"),
    ("swap hook rest", "ore_point"),
]


def environment(directory: Path) -> dict[str, str]:
    path = f"{directory / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(directory), "TERM": "dumb", "LANG": "C.UTF-8"}


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, name: str, directory: Path) -> None:
        self.fd, inner = pty.openpty()
        self.process = subprocess.Popen(
            START[name], env=environment(directory), cwd=directory, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def type(self, keys: str) -> None:
        self.text = ""
        os.write(self.fd, keys.encode())

    def until(self, found: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not found(self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += self.decoder.decode(os.read(self.fd, 65536))
        return self.text

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def directory(cli: Cli, tmp_path: Path) -> Path:
    """Where the shells run: with `swap` in their PATH, the scripts, and a file to name."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "swap"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m swap "$@"\n')
    command.chmod(0o755)
    (tmp_path / "settings.toml").write_text("")
    for name in ("bash", "zsh", "fish"):
        (tmp_path / f"swap.{name}").write_text(cli("completion", name).stdout)
    return tmp_path


@pytest.mark.parametrize("name", START)
def test_the_tab_key(name: str, directory: Path) -> None:
    """In one shell, one case after the other: Ctrl-U takes the line away."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    with closing(Shell(name, directory)) as shell:
        shell.type(f"{SETUP[name]}\n")
        shell.until(lambda text: PROMPT in text)
        for typed, rest in CASES:
            shell.type(f"{typed}\t")
            shell.until(lambda text, whole=typed + rest: whole in text)  # type: ignore[misc]
            shell.type("\x15\n")
            shell.until(lambda text: PROMPT in text)


@pytest.mark.parametrize(("typed", "rest"), CASES)
def test_fish(typed: str, rest: str, directory: Path) -> None:
    """fish has a command for what its Tab key shows."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source swap.fish; complete -C '{typed}'"],
        env=environment(directory), cwd=directory, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [typed.rsplit(maxsplit=1)[-1] + rest]


def test_a_shell_without_a_script(cli: Cli) -> None:
    assert cli("completion", "tcsh", check=False).code == 2
