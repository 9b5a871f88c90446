"""The manual pages: made from the help, one for each command, and what man(1) shows of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from swap.cli.man import pages
from swap.core.errors import ExitCode
from tests.cli.test_start import COMMANDS
from tests.support.commands import Cli


def shown(path: Path) -> str:
    """What a reader sees, without the overstrikes of bold, in one line of words."""
    program = shutil.which("mandoc") or shutil.which("man")
    if program is None:
        pytest.skip("neither mandoc nor man is installed")
    argv = [program, "-T", "utf8"] if program.endswith("mandoc") else [program, "-E", "utf8", "-l"]
    done = subprocess.run(
        [*argv, str(path)], env={"PATH": "/usr/bin:/bin", "MANWIDTH": "200"}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return " ".join(re.sub(".\b", "", done.stdout).replace("\u2010", "-").replace("\u2212", "-").split())


def test_a_page_for_each_command(cli: Cli, tmp_path: Path) -> None:
    cli("man", "--out", "man1")
    assert sorted(p.name for p in (tmp_path / "man1").iterdir()) == sorted(["swap.1", *(f"swap-{c}.1" for c in COMMANDS)])
    assert cli("man").stdout == (tmp_path / "man1" / "swap.1").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_says_what_the_help_says(cli: Cli, tmp_path: Path, command: str) -> None:
    page = tmp_path / "page.1"
    page.write_text(cli("man", command).stdout, encoding="utf-8")
    text = shown(page)
    help_text = cli("help", command, env={"COLUMNS": "300"}).stdout
    for said in re.findall(r"^ {2,}(-\S.*?) {2,}(\S.*)$", help_text, re.MULTILINE):
        assert " ".join(said).replace("  ", " ") in text
    example = re.search(r"Example: (.*)", help_text)
    assert example is not None
    assert " ".join(example[1].split()) in text


def test_the_overview_lists_commands_and_exit_codes(tmp_path: Path) -> None:
    page = tmp_path / "swap.1"
    page.write_text(pages()["swap.1"], encoding="utf-8")
    text = shown(page)
    assert all(f"swap-{c}(1)" in text for c in COMMANDS)
    status = text[text.index("EXIT STATUS") :]
    assert all(f" {int(code)} " in status for code in ExitCode)


def test_no_text_becomes_a_request_of_roff() -> None:
    for name, page in pages().items():
        requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
        assert requests <= {".TH", ".SH", ".TP", ".nf", ".fi"}, name


def test_a_page_of_no_command_and_a_directory_that_cannot_be(cli: Cli, tmp_path: Path) -> None:
    assert cli("man", "sycn", check=False).code == 2
    (tmp_path / "file").write_text("")
    assert cli("man", "--out", "file", check=False).code == 2
