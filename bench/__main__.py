"""`python -m bench`: measures, prints each ratio beside its target, and writes a Markdown table.

A ratio that misses its target is reported and is no error: the exit code says only whether everything was measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench import (
    a_backfill,
    b_capture,
    c_replay,
    d_verify,
    e_exchange,
    f_memory,
    l_logical,
    m_tables,
    p_writers,
    q_repack,
    r_rehearse,
    s_start,
)
from bench.result import Row, markdown
from bench.setting import SETTINGS, Setting
from swap.demo.server import Server

MEASUREMENTS: dict[str, Callable[[Setting], Iterable[Row]]] = {
    "a": a_backfill.measure,
    "b": b_capture.measure,
    "c": c_replay.measure,
    "d": d_verify.measure,
    "e": e_exchange.measure,
    "f": f_memory.measure,
    "l": l_logical.measure,
    "m": m_tables.measure,  # and n, o
    "p": p_writers.measure,
    "q": q_repack.measure,
    "r": r_rehearse.measure,
    "s": s_start.measure,
}
QUICK_USERS = 100_000
DEFAULT_USERS = 1_000_000


def main() -> int:
    options = _options()
    users = options.users or (QUICK_USERS if options.quick else DEFAULT_USERS)
    began = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="swap-bench-") as directory, Server.start("18", SETTINGS, tcp=True) as server:
        setting = Setting(server, Path(directory), users, options.quick)
        for letter in options.only:
            setting.say(f"({letter}) {MEASUREMENTS[letter].__module__.split('.')[-1]}")
            for row in MEASUREMENTS[letter](setting):
                sys.stdout.write(row.line() + "\n")
                sys.stdout.flush()
                rows.append(row)
    options.out.write_text(markdown(_title(users, time.monotonic() - began, quick=options.quick), rows), encoding="utf-8")
    sys.stdout.write(f"\nwritten to {options.out}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--users", type=int, help=f"rows in users (default {DEFAULT_USERS:,}; with --quick {QUICK_USERS:,})")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, fewer rows: to see that it works")
    parser.add_argument("--only", type=_letters, default=list(MEASUREMENTS), help="some of a,b,c,d,e,f,l,m (and n, o),p,q,r,s")
    parser.add_argument("--out", type=Path, default=Path("bench-results.md"), help="the Markdown table")
    return parser.parse_args()


def _letters(text: str) -> list[str]:
    letters = [part.strip() for part in text.split(",")]
    unknown = [part for part in letters if part not in MEASUREMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(MEASUREMENTS)}")
    return letters


def _title(users: int, seconds: float, *, quick: bool) -> list[str]:
    settings = ", ".join(f"{k} = {v}" for k, v in SETTINGS.items())
    machine = f"Python {platform.python_version()}, {os.cpu_count()} CPUs ({platform.machine()})"
    return [
        "# Benchmark",
        "",
        f"{users:,} users{' (--quick)' if quick else ''}, PostgreSQL 18, {machine}, {seconds:,.0f} s in all.",
        f"One server for both sides of every ratio: {settings}, fsync = off unless said otherwise.",
        "Repetitions of the two sides are interleaved; each value is a median.",
    ]


if __name__ == "__main__":
    sys.exit(main())
