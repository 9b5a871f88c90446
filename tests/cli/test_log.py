"""The log: lines with time and level where there is no terminal, and in a file whatever the terminal shows."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from swap.cli.log import Color, Form, Level, configure, log
from swap.cli.progress import STILL_EVERY_S, PlainReporter
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.terminal import OnTerminal

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR) +\S")


def test_one_line_when_something_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers that stand still are not said again, until nothing was said for a minute; a new part and its end are said at once."""
    configure(None, Form.text, Level.info, quiet=False, color=Color.auto)
    report = PlainReporter()
    for done in (0, 1, 2, 2, 10, 10):
        report.progress("users", done, 10)
    report.waiting("a replica lags")
    report.waiting("a replica lags")
    report.waiting("")
    report.progress("replay", 5, None, "changes")
    said = capsys.readouterr().err.splitlines()
    assert all(LINE.match(line) for line in said)
    texts = [line.split(" ", 2)[2].split(None, 1)[1] for line in said]
    assert texts == ["users: 0 of ~10 rows (0 %)", "users: 10 rows (100 %)", "waiting: a replica lags", "replay: 5 changes"]
    assert "WARNING" in said[2]
    report.beat(report.said_at + STILL_EVERY_S - 1)
    assert capsys.readouterr().err == ""
    report.beat(report.said_at + STILL_EVERY_S)
    assert capsys.readouterr().err.rstrip().endswith("replay: 5 changes")


def test_levels_forms_and_quiet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "log"
    configure(file, Form.json, Level.info, quiet=True, color=Color.auto)
    try:
        report = PlainReporter()
        report.note("prepare: capture\x1b[2J")
        report.waiting("a lock")
        report.progress("users", 5, 10)
    finally:
        configure(None, Form.text, Level.info, quiet=False, color=Color.auto)
    shown = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(s["level"], s["message"]) for s in shown] == [("warning", "waiting: a lock")], "quiet"
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [k["message"] for k in kept] == ["prepare: capture\\x1b[2J", "waiting: a lock", "users: 5 of ~10 rows (50 %)"]
    assert (kept[2]["part"], kept[2]["done"], kept[2]["total"]) == ("users", 5, 10)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert log.file is None


def test_a_run_with_a_log_file(operator: MakeOperator, on_terminal: OnTerminal, tmp_path: Path, cli: Cli) -> None:
    """Bars on the terminal, lines in the file; an error is in it too, with state and next; no colours where none are wanted."""
    op = operator(users=60, settings="\n")
    op("prepare")
    file = tmp_path / "sync.log"
    terminal = on_terminal("sync", "--once", "--log-file", str(file), "--color", "never", config=op.config, dsn=op.db.owner)
    assert terminal.end() == 0, terminal.shown
    assert "\x1b[3" not in terminal.shown
    assert re.search(r"users .*60 rows \(100 %\)", terminal.shown)
    assert not re.search(r"/s.*/s", terminal.shown.split("\n")[-1])
    lines = file.read_text(encoding="utf-8").splitlines()
    assert all(LINE.match(line) for line in lines)
    assert any("users: 60 rows (100 %)" in line for line in lines)
    result = op.cli(
        "cutover",
        "--yes",
        "--no-snapshot",
        "--log-file",
        str(file),
        "--log-format",
        "json",
        config=op.config,
        dsn=op.db.owner,
        check=False,
    )
    assert result.code == 3
    last = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["level"], last["code"], last["state"]) == ("error", 3, "Nothing was changed.")
    assert json.loads(result.stderr.splitlines()[-1])["message"] == last["message"]
    quiet = op.cli("sync", "--once", "-q", config=op.config, dsn=op.db.owner)
    assert (quiet.code, quiet.stderr) == (0, "")
    refused = cli("status", "--log-file", str(tmp_path), config=op.config, dsn=op.db.owner, check=False)
    assert (refused.code, "cannot be written" in refused.stderr) == (2, True)
