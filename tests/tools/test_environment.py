"""`make demo` installs only what it needs, and says in one line what kept it from that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tools.environment import explain

REQUIREMENTS = ROOT / "requirements"


def pinned(lock: str) -> dict[str, str]:
    text = (REQUIREMENTS / lock).read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [d for e in extras for d in project["optional-dependencies"][e]]
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", line)[0]).lower() for line in lines}


def test_the_lock_of_the_demo_holds_what_it_needs_and_no_tool() -> None:
    there = set(pinned("demo.lock"))
    assert declared("demo") <= there
    assert not (declared("test", "lint") - declared("demo") - {"psutil", "pg-uuid-swap"}) & there


def test_the_demo_runs_what_the_suite_tests() -> None:
    tested = pinned("test.lock")
    assert {n: v for n, v in pinned("demo.lock").items() if tested.get(n, v) != v} == {}


@pytest.mark.parametrize("lock", ["demo.lock", "build.lock", "docs.lock", "apps.lock"])
def test_every_file_of_a_lock_has_its_hash(lock: str) -> None:
    text = (REQUIREMENTS / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert len(blocks) > 5
    assert [b for b in blocks if "--hash=sha256:" not in b] == []


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("WARNING: Retrying (Retry(total=0, …\nERROR: Could not find a version", "no network: pip cannot reach the package index for x.lock."),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nmore", "pip could not install x.lock: THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("", "pip could not install x.lock: pip said nothing"),
    ],
)  # fmt: skip
def test_what_kept_pip_from_its_work(said: str, line: str) -> None:
    told = explain(said, Path("x.lock"))
    assert told.startswith(line)
    assert "\n" not in told


def no_network() -> list[str]:
    """What runs a command without a network; a skip where this user cannot."""
    unshare = shutil.which("unshare")
    argv = [str(unshare), "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if unshare is None or subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot take the network away from a process")
    return argv


def test_make_demo_without_a_network_says_so_in_one_line(tmp_path: Path) -> None:
    argv = [*no_network(), "make", "-s", "demo", f"DEMO={tmp_path / 'env'}", f"PYTHON={sys.executable}"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}  # of the `make test` that runs this
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100, env=env)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert lines == [
        "no network: pip cannot reach the package index for requirements/demo.lock. Connect, and run the same command again."
    ]
    assert not (tmp_path / "env" / "installed").exists(), "the next try begins anew"
