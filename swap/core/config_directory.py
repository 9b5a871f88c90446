"""Several tables: a directory with one configuration for each, such as `swap.d/10-users.toml`. The names of the files are the order.

One command works on one table. So only commands that read take the directory (`swap status --all`); every other takes one of its files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from swap.core.config import Config, load_config
from swap.core.errors import UsageError

DEFAULT = Path("swap.d")
SHOWN = 5


class Configured(NamedTuple):
    path: Path
    config: Config


def find_directory(flag: Path | None) -> Path:
    """The flag, else SWAP_CONFIG, else ./swap.d. Raises UsageError where that is no directory."""
    path = flag or Path(os.environ.get("SWAP_CONFIG") or DEFAULT)
    if not path.is_dir():
        raise UsageError(
            f"{path} is no directory.",
            hint="--all needs one with a configuration for each table: --config DIRECTORY, or ./swap.d.",
        )
    return path


def load_directory(path: Path) -> list[Configured]:
    """Every `*.toml` in it, by name. Raises UsageError: for a file that is wrong, none at all, or a table that two of them have."""
    found = [Configured(file, load_config(file)) for file in files_of(path)]
    if not found:
        raise UsageError(
            f"{path} holds no file *.toml.", hint=f"`swap init public.users --out {path / '10-users.toml'}` writes one."
        )
    by_table: dict[str, Path] = {}
    for file, config in found:
        other = by_table.setdefault(str(config.source.name), file)
        if other != file:
            raise UsageError(f"{other} and {file} both are for {config.source.name}.", hint="One table has one configuration.")
    return found


def files_of(path: Path) -> list[Path]:
    return sorted(f for f in path.glob("*.toml") if not f.name.startswith("."))


def one_of(path: Path) -> UsageError:
    """The error of a command that works on one table, and was given a directory."""
    names = [str(f) for f in files_of(path)]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    listed = f" It holds {', '.join(names[:SHOWN])}{more}." if names else ""
    hint = f"Name one of its files: --config {names[0]}." if names else "Name a file."
    return UsageError(
        f"{path} is a directory, and this command works on one table.{listed}", hint=f"{hint} `swap status --all` shows all."
    )
