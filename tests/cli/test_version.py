"""`swap --version`: what a report of a defect has to name, as the programs themselves say it."""

from __future__ import annotations

import platform

import psycopg
from psycopg import pq

from swap import __version__
from swap.state.upgrade import VERSION
from tests.support.commands import Cli


def test_version(cli: Cli) -> None:
    shown = cli("--version").stdout
    assert shown == cli("version").stdout
    lines = shown.splitlines()
    assert lines[0] == f"swap {__version__}"
    assert lines[1].split()[:3] == ["state", "layout", str(VERSION)]
    assert lines[2].split() == ["Python", platform.python_version()]
    assert lines[3].startswith(f"libpq         {pq.version_pretty(pq.version())} (psycopg {psycopg.__version__}")


def test_version_as_json(cli: Cli) -> None:
    told = cli("--version", "--json").json
    assert told["version"] == __version__
    assert (told["state_layout"], told["state_layouts_read"][1]) == (VERSION, VERSION)
    assert told["python"] == platform.python_version()
    assert told["libpq"] == pq.version_pretty(pq.version())
    assert told["psycopg"] == psycopg.__version__


def test_version_is_listed_and_takes_nothing_else(cli: Cli) -> None:
    assert "--version " in cli("-h").stdout
    assert cli("--version", "sync", check=False).code == 2
