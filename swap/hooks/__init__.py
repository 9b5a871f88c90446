"""Two ready snapshot hooks, shell scripts inside the package (docs/hooks.md), and `["swap", "hook", NAME]`, which names them.

The scripts run as `sh -c TEXT`: a zipapp has no file to execute, and a hook has to start where `swap` is not in PATH (a virtualenv,
pipx, uvx).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

NAMES = ("pg_dump", "restore_point")
SHELL = "/bin/sh"


def script(name: str) -> str:
    """The text of a ready hook."""
    return (files("swap.hooks") / f"{name}.sh").read_text(encoding="utf-8")


def shell_argv(name: str) -> list[str]:
    """The arguments that run a ready hook."""
    return [SHELL, "-c", script(name), f"swap hook {name}"]


def resolve(argv: Sequence[str]) -> list[str]:
    """The argv to start in place of a configured one: `["swap", "hook", NAME]` is this package's own script, any other stays."""
    match list(argv):
        case ["swap", "hook", name] if name in NAMES:
            return shell_argv(name)
        case other:
            return other
