"""`swap --version`: what a report of a defect has to name."""

from __future__ import annotations

import platform

import psycopg
from psycopg import pq

from swap import __version__
from swap.cli.output import emit_json, print_lines
from swap.core.commit import commit
from swap.state.upgrade import FIRST, VERSION


def work(*, as_json: bool) -> None:
    libpq = pq.version_pretty(pq.version())
    if as_json:
        emit_json(
            {
                "version": __version__, "commit": commit(), "state_layout": VERSION, "state_layouts_read": [FIRST, VERSION],
                "python": platform.python_version(), "libpq": libpq, "psycopg": psycopg.__version__,
            }
        )  # fmt: skip
        return
    print_lines(
        [
            f"swap {__version__}",
            f"commit        {commit() or 'unknown'}",
            f"state layout  {VERSION} (takes over {FIRST} and newer)",
            f"Python        {platform.python_version()}",
            f"libpq         {libpq} (psycopg {psycopg.__version__}, {pq.__impl__})",
        ]
    )
