"""What is installed is what was locked: every version, every file by its hash, from whatever index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)((?: ;[^\\]*)?) \\$")
NAME = re.compile(r"^([A-Za-z0-9_.-]+)")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def named(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found is not None
    return found[1].lower().replace("_", "-")


def pins(path: Path) -> dict[str, str]:
    """Of each line that is no hash: name and version."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("    --hash=sha256:"):
            match = PIN.match(line)
            assert match is not None, line
            found[match[1]] = match[2]
    return found


def test_all_are_there() -> None:
    assert [p.stem for p in LOCKS] == ["apps", "build", "demo", "docs", "image", "lowest", "test"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.stem)
def test_every_version_has_a_hash(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text  # where from is for whoever installs to say
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("path", [p for p in LOCKS if p.stem in {"image", "lowest", "test"}], ids=lambda p: p.stem)
def test_everything_that_is_declared_is_locked(path: Path) -> None:
    p = project()
    wanted = [*p["project"]["dependencies"]]
    if path.stem != "image":  # what builds the project does not come along
        wanted += p["build-system"]["requires"]
    if path.stem == "test":
        more = p["project"]["optional-dependencies"]
        wanted += [r for extra in more.values() for r in extra if not r.startswith(p["project"]["name"])]
    assert {named(r) for r in wanted} <= pins(path).keys()


@pytest.mark.parametrize("name", ["image", "demo"])
def test_what_is_installed_was_tested(name: str) -> None:
    tested = pins(ROOT / "requirements" / "test.lock")
    run = pins(ROOT / "requirements" / f"{name}.lock")
    assert {n: v for n, v in tested.items() if n in run} == run


def test_the_lowest_are_the_lower_bounds() -> None:
    lowest = pins(ROOT / "requirements" / "lowest.lock")
    p = project()
    for requirement in [
        *p["project"]["dependencies"],
        *p["project"]["optional-dependencies"]["demo"],
        *p["build-system"]["requires"],
    ]:
        bound = requirement.partition(">=")[2]
        assert bound, f"{requirement} has no lower bound"
        locked = lowest[named(requirement)].split(".")
        assert locked[: len(bound.split("."))] == bound.split("."), requirement


def test_what_builds_is_locked_too() -> None:
    built = (ROOT / "requirements" / "setup.in").read_text(encoding="utf-8").splitlines()
    assert built == project()["build-system"]["requires"]


def test_the_image_installs_by_hash_alone() -> None:
    """Every install names a lock and asks for its hashes, but for the wheel that the image itself has built."""
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [
        command
        for line in dockerfile.splitlines()
        for command in line.split("&&")
        if "pip " in command and " install " in command
    ]
    locks = {name for i in installs if "--require-hashes" in i for name in re.findall(r"-r requirements/(\w+)\.lock", i)}
    assert locks == {"build", "image"}
    (own,) = [i for i in installs if "--require-hashes" not in i]
    assert "--no-deps --no-index /dist/" in own
