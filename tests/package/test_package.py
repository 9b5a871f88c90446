"""The distribution: built from what git tracks, installed into environments of its own, and used there.

Only with `make test-package`: it installs from the network, and takes minutes. The environments know nothing of this checkout:
the commands run in an empty directory, without PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from email.parser import HeaderParser
from pathlib import Path

import pytest

from swap import __version__, hooks
from swap.core.commit import NAME, commit
from tests.support.commands import ROOT
from tools import dist
from tools.dist import tracked

pytestmark = pytest.mark.package
PACKAGES = ("swap/", "verify/", "cutover/")
LOWEST = ROOT / "requirements" / "lowest.lock"
LOCKED = ROOT / "requirements" / "test.lock"
REPOSITORY = "https://example.org/made/swap"
MODULES = "import swap, verify, cutover; print(*(m.__file__ for m in (swap, verify, cutover)))"


def run(*argv: object, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """stdout. Fails with both streams."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(a) for a in argv], cwd=cwd, env=kept | dict(env or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dist.tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="session")
def built(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with sdist, wheel and zipapp, made from a copy of the tracked files."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    dist.copy(source, REPOSITORY)
    sdist, wheel = dist.build(tools, source, out)
    assert sdist.name == f"pg_uuid_swap-{__version__}.tar.gz"
    dist.zipapp(tools, wheel, out)
    return out


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    info = f"pg_uuid_swap-{__version__}.dist-info/"
    ours = {f for f in tracked() if f.startswith(PACKAGES)}
    assert {n for n in names if not n.startswith(info)} == ours | {f"swap/{NAME}"}
    assert {"swap/hooks/pg_dump.sh", "swap/hooks/restore_point.sh", "swap/py.typed"} <= set(names)


def test_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"pg_uuid_swap-{__version__}.dist-info/METADATA").decode()
    metadata = HeaderParser().parsestr(text)
    assert (metadata["Name"], metadata["Version"]) == ("pg-uuid-swap", __version__)
    urls = dict(u.split(", ") for u in metadata.get_all("Project-URL", []))
    assert (set(urls), urls["Issues"]) == (set(dist.URLS), f"{REPOSITORY}/issues")
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "MIT"


def test_the_sdist_holds_what_a_packager_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
    assert {f for f in tracked() if f.startswith(("swap/", "verify/", "cutover/", "tests/", "docs/"))} <= names
    assert {"LICENSE", "CHANGELOG.md", "RUNBOOK.md", "Makefile", "requirements/test.lock"} <= names


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Factory: an environment with the wheel, its demo, and the versions of a lock. Returns its directory of programs."""

    def make(lock: Path) -> Path:
        directory = tmp_path_factory.mktemp(lock.stem)
        venv.create(directory, with_pip=True)
        # The versions alone: with hashes pip would ask for that of the wheel, which is new each time.
        pinned = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==[^\s;\\]+(?:\s*;[^\\\n]+)?", lock.read_text(encoding="utf-8"), re.MULTILINE)
        assert pinned
        constraints = directory / "constraints.txt"
        constraints.write_text("".join(f"{p.strip()}\n" for p in pinned))
        run(directory / "bin/python", "-m", "pip", "install", "-q", "-c", constraints, f"{wheel}[demo]", cwd=directory)
        return directory / "bin"

    return make


@pytest.mark.parametrize("lock", [LOCKED, LOWEST], ids=lambda path: path.stem)
def test_the_wheel_works_with(lock: Path, install: Callable[[Path], Path], tmp_path: Path) -> None:
    """The whole cycle, with a ready hook's program, and nothing of this checkout."""
    if not lock.exists():
        pytest.skip(f"requirements/{lock.name} is not there: the lowest versions are not tried")
    programs = install(lock)
    places = run(programs / "python", "-c", MODULES, cwd=tmp_path).split()
    assert all(str(programs.parent) in place for place in places)
    assert run(programs / "swap", "--version", cwd=tmp_path).startswith(f"swap {__version__}\ncommit        {commit()}\n")
    assert run(programs / "swap", "hook", "pg_dump", "--print", cwd=tmp_path) == hooks.script("pg_dump")
    assert "TH" in run(programs / "swap", "man", "verify", cwd=tmp_path)
    assert_the_cycle(programs / "swap", cwd=tmp_path)


def assert_the_cycle(*command: object, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    told = json.loads(run(*command, "demo", "--users", "300", "--json", cwd=cwd, env=env))
    assert told["lost_writes"] == 0
    assert len(told["locked_ms"]) == 3
    assert "snapshot" in told["snapshot"]


def test_pipx_and_uvx(wheel: Path, tools: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PIPX_HOME": str(tmp_path / "pipx"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    for command in (
        [tools / "pipx", "run", "--quiet", "--python", sys.executable, "--spec", wheel, "swap"],
        [tools / "uvx", "--quiet", "--python", sys.executable, "--from", wheel, "swap"],
    ):
        shown = run(*command, "--version", cwd=tmp_path, env=home)
        assert shown.startswith(f"swap {__version__}\n")
        assert run(*command, "hook", "pg_dump", "--print", cwd=tmp_path, env=home) == hooks.script("pg_dump")


def test_the_zipapp(built: Path, tmp_path: Path) -> None:
    """One file. It starts processes of its own too: the commands of the demo, and the watchdogs."""
    from swap.demo.binaries import find_binaries

    file = tmp_path / "swap.pyz"
    shutil.copy2(built / dist.ZIPAPP, file)
    env = {
        "HOME": str(tmp_path),
        "SHIV_ROOT": str(tmp_path / "shiv"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert run(file, "--version", cwd=tmp_path, env=env).startswith(f"swap {__version__}\n")
    assert run(file, "hook", "restore_point", "--print", cwd=tmp_path, env=env) == hooks.script("restore_point")
    held = zipfile.ZipFile(file).namelist()
    assert {"site-packages/jinja2/__init__.py", "site-packages/pygal/__init__.py"} <= set(held), (
        "the HTML of `rehearse` and `report`"
    )
    # It holds no PostgreSQL: the demo takes one that is installed.
    bindir = find_binaries("18")
    wheel_of_postgres = bindir.parents[2]
    assert_the_cycle(file, cwd=tmp_path, env=env | {"PYTHONPATH": str(wheel_of_postgres)})
