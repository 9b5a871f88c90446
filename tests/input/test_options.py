"""Options with impossible values, and reports that no file can hold: exit code 2 before anything is connected to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.commands import Cli
from tests.support.judging import judge

NOWHERE = "host=127.0.0.1 port=1"  # a command that connected would end with 9

OPTIONS = [
    ("cutover", "--lock-timeout"),
    ("cutover", "--max-lock-hold"),
    ("cutover", "--max-attempts"),
    ("sync", "--jobs"),
    ("verify", "--jobs"),
    ("verify", "--watch"),
    ("verify", "--metrics-port"),
    ("demo", "--users"),
]
IMPOSSIBLE = ["99999999999", "-1", "0", "", " ", "x", "1e99", "9" * 5000, "nan", "inf", "-inf", "0x10", "1;2", "½"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    return path


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_impossible_numbers(cli: Cli, config: Path, command: str, option: str) -> None:
    for number in IMPOSSIBLE:
        if (option, number) == ("--metrics-port", "0"):  # any free port
            continue
        watch = ("--watch", "1") if option == "--metrics-port" else ()
        result = cli(command, *watch, f"{option}={number}", config=config, dsn=NOWHERE, check=False)
        message = judge(result, 2)
        assert option in message


@pytest.mark.parametrize(
    "args",
    [
        ("verify", "--method", "magic"), ("prepare", "--mode", "magic"), ("demo", "--mode", "magic"), ("demo", "--variant", "x"),
        ("init", ""), ("init", "a.b.c"), ("init", 'public."'), ("init", "."), ("init",), ("init", "a", "b"),
        ("status", "--dsn"), ("status", "--dsn", "postgresql://[::1/"), ("status", "--dsn", "host"), ("status", "--watch=1"),
        ("verify", "--metrics-port", "9"), ("verify", "--dry-run"), ("verify", "--watch", "1", "--repair"),
        ("verify", "--on", "="), ("verify", "--against", "="), ("status", "extra"), ("cutover", "--yes=1"),
    ],
)  # fmt: skip
def test_impossible_words(cli: Cli, config: Path, args: tuple[str, ...]) -> None:
    judge(cli(*args, config=config, dsn=NOWHERE, check=False), 2)


def places(directory: Path) -> list[str]:
    """Where no report can be: it would take the place of something, or no file can be made."""
    os.mkfifo(directory / "fifo")
    (directory / "dir.json").mkdir()
    (directory / "half.md").mkdir()  # the Markdown beside half.json
    return [
        "",
        ".",
        "/",
        "fifo",
        "dir.json",
        "half.json",
        "half.md",
        "absent/report.json",
        "/dev/full",
        "/proc/none/x",
        "x" * 300,
    ]


def test_reports_to_what_is_no_file(cli: Cli, config: Path, tmp_path: Path) -> None:
    """Refused before the verification, which may take hours, and not after it."""
    for place in places(tmp_path):
        before = sorted(tmp_path.iterdir())
        result = cli("verify", "--report", place, config=config, dsn=NOWHERE, check=False)
        assert "report" in judge(result, 2), place
        result = cli("verify", "--watch", "1", "--report", place, config=config, dsn=NOWHERE, check=False)
        assert "report" in judge(result, 2), place
        assert sorted(tmp_path.iterdir()) == before


def test_a_configuration_to_what_is_no_file(cli: Cli, config: Path, tmp_path: Path) -> None:
    for place in [p for p in places(tmp_path) if not p.startswith("half")]:
        before = sorted(tmp_path.iterdir())
        judge(cli("init", "public.users", "--out", place, "--force", config=config, dsn=NOWHERE, check=False), 2)
        assert sorted(tmp_path.iterdir()) == before
