"""What a wheel has to hold: everything in the packages that is no Python. `make test-package` looks into a real one."""

from __future__ import annotations

import fnmatch
import tomllib

from tests.support.commands import ROOT

PACKAGES = ("swap", "verify", "cutover")


def test_every_file_of_the_packages_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = ["*.py", *project["tool"]["setuptools"]["package-data"]["*"]]
    files = [f for p in PACKAGES for f in (ROOT / p).rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert len(files) > 300
    assert [str(f.relative_to(ROOT)) for f in files if not any(fnmatch.fnmatch(f.name, p) for p in patterns)] == []


def test_every_package_is_typed() -> None:
    assert [p for p in PACKAGES if not (ROOT / p / "py.typed").is_file()] == []
