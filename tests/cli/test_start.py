"""What a command loads: help and completion none of the work, `status` its own and the gates. A count of modules is exact on any machine;
the time is measured by `python -m bench --only s`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import typer.main

from swap.cli.commands import app
from tests.support.commands import ROOT
from tests.support.operator import MakeOperator

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
HEAVY = {"psycopg", "sqlalchemy", "pydantic", "rich", "prometheus_client", "tenacity"}
# Runs the command line that follows, and writes the names of all modules to stderr's last line.
TELL = """
import json, sys
from swap.cli import main
try:
    main()
finally:
    sys.stdout.flush()
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(*args: str, **env: str) -> tuple[str, set[str]]:
    """stdout, and the modules that a process of its own has loaded at the end."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))}
    done = subprocess.run(
        [sys.executable, "-c", TELL, *args],
        env={**kept, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_work(command: str) -> None:
    shown, modules = loaded(*command.split(), "--help")
    assert shown.startswith("Usage: swap")
    assert not HEAVY & modules
    light = {
        "swap.cli",
        "swap.cli.app",
        "swap.cli.log",
        "swap.cli.commands",
        "swap.cli.options",
        "swap.cli.output",
        "swap.cli.results",
        "swap.core.errors",
    }
    # what every error and every line goes through
    light |= {"swap.core.printable", "swap.core.secrets", "swap.core.process"}
    assert {m for m in modules if m.split(".")[0] in ("swap", "verify", "cutover")} == {"swap", "swap.core", *light}


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "swap st", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "swap st"}),
        ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "swap st"}),
    ],
)
def test_completion_loads_no_work(shell: str, words: dict[str, str]) -> None:
    shown, modules = loaded(_SWAP_COMPLETE=f"complete_{shell}", **words)
    assert "status" in shown
    assert not {"psycopg", "sqlalchemy", "prometheus_client"} & modules


def test_status_loads_what_it_reads(ready_operator: MakeOperator) -> None:
    op = ready_operator()
    shown, modules = loaded("status", "--json", SWAP_DSN=op.db.owner, SWAP_CONFIG=str(op.config))
    assert json.loads(shown)["phase"] == "syncing"
    assert not {"rich", "prometheus_client"} & modules
    # The gates of an exchange say whether one is possible, and what changed in the structure.
    assert {m for m in modules if m.startswith("cutover.")} == {f"cutover.{m}" for m in ("clients", "gates", "lock_table")}
    assert not {m for m in modules if m.startswith(("swap.demo", "swap.doctor.trial", "verify.run", "verify.rows"))}
    assert not {f"swap.cli.{c}" for c in COMMANDS if c != "status"} & modules
