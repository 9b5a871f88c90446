"""The commit that this `swap` was made from, for `swap --version`.

A distribution carries it in a file beside the packages' code, which what builds it writes (setup.py). A checkout asks git.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NAME = "commit.txt"
PACKAGE = Path(__file__).resolve().parent.parent
TIMEOUT_S = 10.0


def commit(package: Path = PACKAGE) -> str | None:
    """40 hexadecimal digits, and `-dirty` after them if a tracked file differs. None where it is not known."""
    try:
        return (package / NAME).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return _of_checkout(package.parent)


def _of_checkout(root: Path) -> str | None:
    if not (root / ".git").exists():  # not any repository that happens to lie above
        return None
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_OPTIONAL_LOCKS": "0"}
    describe = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(describe, env=kept, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
