"""The units: what systemd says of them, and the commands in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import assert_a_command_of_swap
from tests.support.commands import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
SERVICES = [u for u in UNITS if u.suffix == ".service"]
MOST_EXPOSED = 20  # tenths; 96 is a service without any setting of this kind
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def analyze(*args: object) -> str:
    done = subprocess.run([str(ANALYZE), *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def copied(directory: Path, change: tuple[str, str] = ("", "")) -> list[Path]:
    """The units, with a program that is there: systemd looks for it."""
    made = []
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/usr/local/bin/swap", "/bin/true").replace(*change)
        made.append(directory / unit.name)
        made[-1].write_text(text)
    return made


@needs_systemd
def test_systemd_takes_them(tmp_path: Path) -> None:
    assert len(UNITS) == 3
    said = analyze("verify", "--man=no", *copied(tmp_path))
    assert [line for line in said.splitlines() if "swap-" in line] == []


@needs_systemd
def test_systemd_finds_a_mistake(tmp_path: Path) -> None:
    units = copied(tmp_path, ("RestrictRealtime=", "RestrictRealtimes="))
    said = subprocess.run([str(ANALYZE), "verify", "--man=no", *units], capture_output=True, text=True, check=False).stderr
    assert "RestrictRealtimes" in said


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_service_can_do_no_more_than_it_must(unit: Path) -> None:
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_the_commands_are_commands_of_swap(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    program, *arguments = line.split()
    assert Path(program).name == "swap"
    assert_a_command_of_swap(arguments)


def test_the_timer_is_for_the_verification() -> None:
    timers = [u for u in UNITS if u.suffix == ".timer"]
    assert [t.stem for t in timers] == ["swap-verify"]
    assert timers[0].with_suffix(".service") in UNITS
