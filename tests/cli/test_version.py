"""`swap --version`: what a report of a defect has to name, as the programs themselves say it."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import psycopg
from psycopg import pq

from swap import __version__
from swap.core.commit import NAME, commit
from swap.state.upgrade import VERSION
from tests.support.commands import ROOT, Cli


def test_version(cli: Cli) -> None:
    shown = cli("--version").stdout
    assert shown == cli("version").stdout
    lines = shown.splitlines()
    assert lines[0] == f"swap {__version__}"
    assert lines[1].split() == ["commit", commit()]
    assert lines[2].split()[:3] == ["state", "layout", str(VERSION)]
    assert lines[3].split() == ["Python", platform.python_version()]
    assert lines[4].startswith(f"libpq         {pq.version_pretty(pq.version())} (psycopg {psycopg.__version__}")


def test_version_as_json(cli: Cli) -> None:
    told = cli("--version", "--json").json
    assert (told["version"], told["commit"]) == (__version__, commit())
    assert (told["state_layout"], told["state_layouts_read"][1]) == (VERSION, VERSION)
    assert told["python"] == platform.python_version()
    assert told["libpq"] == pq.version_pretty(pq.version())
    assert told["psycopg"] == psycopg.__version__


def test_version_is_listed_and_takes_nothing_else(cli: Cli) -> None:
    assert "--version " in cli("-h").stdout
    assert cli("--version", "sync", check=False).code == 2


def test_the_commit_of_a_checkout_and_of_a_distribution(tmp_path: Path) -> None:
    """git's word in a checkout, that of the file in what was built from one, and else none: no repository that lies above counts."""
    package = tmp_path / "a" / "swap"
    package.mkdir(parents=True)
    git = ["git", "-C", str(tmp_path / "a"), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert commit(package) is None
    subprocess.run(["git", "init", "--quiet", tmp_path / "a"], check=True)
    assert commit(package) is None  # none yet
    (package / "x").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit(package) == head
    (package / "x").write_text("2")
    assert commit(package) == f"{head}-dirty"
    (package / NAME).write_text("abc\n")
    assert commit(package) == "abc"
    assert not (ROOT / "swap" / NAME).exists(), "a file of a build: the checkout would tell an old commit"
