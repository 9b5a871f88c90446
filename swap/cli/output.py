"""Results for users, on stdout. Progress and notes go to stderr. With --json stdout is one document.

Without a terminal there are no control codes. The modules that draw on a terminal (swap.cli.live, swap.cli.terminal) load rich. A
command imports them where it draws, so `status`, which prints plain lines, does not load it.

Whatever is shown may hold text from elsewhere: control characters become their escapes here (swap.core.printable).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from swap.core import process
from swap.core.errors import SwapError
from swap.core.printable import json_safe, printable, printable_document
from swap.core.secrets import mask

PLAIN_EVERY_S = 5.0
DRAWN_EVERY_S = 0.5


def for_people(text: str) -> str:
    """A text as it may be shown: without passwords, control characters as their escapes."""
    return printable(mask(text))


def emit_json(document: Any, *, result: bool = False) -> None:
    """Write the one JSON document of a --json command. `result`: it says what a command did, and is not lost with its reader."""
    shown = printable_document(document, for_people)
    ascii_only = not _holds_every_character(sys.stdout)
    lines = [json_safe(json.dumps(shown, indent=2, default=str, ensure_ascii=ascii_only))]
    _write(lines, sys.stdout)
    if result and process.lost_reader(sys.stdout):
        _write(lines, sys.stderr)


def print_lines(lines: list[str], to: TextIO | None = None) -> None:
    """Write lines for people. To stdout, unless `to` says where."""
    _write([for_people(line) for line in lines], to or sys.stdout)


def print_result(lines: list[str]) -> None:
    """Print what a command did. A reader that has gone away (`| head -1`) does not lose it: then it goes to stderr."""
    print_lines(lines)
    if process.lost_reader(sys.stdout):
        print_lines(lines, sys.stderr)


def print_sql(lines: list[str]) -> None:
    """Write SQL, to the character unless a terminal shows it: it is saved and run."""
    if sys.stdout.isatty():
        print_lines(lines)
    else:
        _write(lines, sys.stdout)


def _write(lines: list[str], stream: TextIO) -> None:
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def _holds_every_character(stream: TextIO) -> bool:
    """False: a character that JSON text may hold would become `\\xe9`, which is no JSON."""
    return (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"


def duration(seconds: float) -> str:
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02d} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02d} min"


@contextmanager
def watched() -> Iterator[tuple[Callable[[list[str]], None], float]]:
    """Yield a function that shows lines, and the seconds between two calls. A terminal draws one view again and again; without
    one, each call prints a block."""
    if not sys.stdout.isatty():
        yield lambda lines: print_lines([*lines, ""]), PLAIN_EVERY_S
        return
    from swap.cli.live import drawn

    with drawn() as show:
        yield show, DRAWN_EVERY_S


def error_document(error: SwapError) -> dict[str, Any]:
    """Make `error` of a --json document."""
    return {"code": int(error.exit_code), "message": error.message, "state": error.state, "hint": error.hint}
