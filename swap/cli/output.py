"""Results for users, on stdout. Progress and notes go to stderr. With --json stdout is one document.

Without a terminal there are no control codes. The modules that draw on a terminal (swap.cli.live, swap.cli.terminal) load rich. A
command imports them where it draws, so `status`, which prints plain lines, does not load it.

Whatever is shown may hold text from elsewhere: control characters become their escapes here (swap.core.printable).
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from swap.core import process
from swap.core.errors import SwapError
from swap.core.printable import json_safe, printable, printable_document
from swap.core.secrets import mask

PLAIN_EVERY_S = 5.0
DRAWN_EVERY_S = 1.0
MIN_COLUMNS = 40
HANGING = 2  # of what continues a line


def for_people(text: str) -> str:
    """A text as it may be shown: without passwords, control characters as their escapes."""
    return printable(mask(text))


def emit_json(document: Mapping[str, Any], *, result: bool = False) -> None:
    """Write the one JSON document of a --json command. `result`: it says what a command did, and is not lost with its reader.

    Every document has `next`. Where the command did not set it, that is what the hint of its error names, or null."""
    shown = printable_document({**document, "next": document.get("next") or _named_next(document)}, for_people)
    ascii_only = not _holds_every_character(sys.stdout)
    lines = [json_safe(json.dumps(shown, indent=2, default=str, ensure_ascii=ascii_only))]
    _write(lines, sys.stdout)
    if result and process.lost_reader(sys.stdout):
        _write(lines, sys.stderr)


def _named_next(document: Mapping[str, Any]) -> str | None:
    from swap.cli.next_step import named_in  # here: help and completion write no document

    return named_in(str(document["error"]["hint"])) if "error" in document else None


def print_lines(lines: list[str], to: TextIO | None = None) -> None:
    """Write lines for people. To stdout, unless `to` says where. On a terminal they are cut between words."""
    stream = to or sys.stdout
    columns = columns_of(stream)
    shown = [piece for text in lines for line in for_people(text).split("\n") for piece in wrapped(line, columns, HANGING)]
    _write(shown, stream)


def print_result(lines: list[str]) -> None:
    """Print what a command did. A reader that has gone away (`| head -1`) does not lose it: then it goes to stderr."""
    print_lines(lines)
    if process.lost_reader(sys.stdout):
        print_lines(lines, sys.stderr)


def print_sql(lines: list[str]) -> None:
    """Write SQL, to the character unless a terminal shows it: it is saved and run. It is not cut to the terminal's width."""
    _write([for_people(line) for line in lines] if sys.stdout.isatty() else lines, sys.stdout)


def _write(lines: list[str], stream: TextIO) -> None:
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def _holds_every_character(stream: TextIO) -> bool:
    """False: a character that JSON text may hold would become `\\xe9`, which is no JSON."""
    return (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"


def wrapped(text: str, columns: int | None, indent: int = 0) -> list[str]:
    """`text` as lines of at most `columns`, cut between words; those after the first begin `indent` columns further in. Only a word that
    is longer than a line is cut. `columns` None: one line."""
    if columns is None or len(text) <= columns:
        return [text]
    hang = " " * (indent if indent <= columns // 2 else 2)
    return textwrap.wrap(text, columns, subsequent_indent=hang, break_on_hyphens=False, drop_whitespace=True, tabsize=1) or [""]


class Size(NamedTuple):
    """Columns and rows of a screen; None: no limit, as where the output is no terminal."""

    columns: int | None = None
    rows: int | None = None


def columns_of(stream: TextIO) -> int | None:
    """How wide a text on this stream may be. None where it is no terminal: a program reads whole lines."""
    return max(MIN_COLUMNS, shutil.get_terminal_size((80, 24)).columns) if stream.isatty() else None


@contextmanager
def watched() -> Iterator[tuple[Callable[[list[str]], None], float, Callable[[], Size]]]:
    """Yield a function that shows lines, the seconds between two calls, and a function that tells the size of the screen. A terminal
    draws one view again and again; without one, each call prints a block."""
    if not sys.stdout.isatty():
        yield lambda lines: print_lines([*lines, ""]), PLAIN_EVERY_S, Size
        return
    from swap.cli.live import drawn

    def size() -> Size:
        now = shutil.get_terminal_size((80, 24))
        return Size(max(MIN_COLUMNS, now.columns), now.lines)

    with drawn() as show:
        yield show, DRAWN_EVERY_S, size


def error_document(error: SwapError) -> dict[str, Any]:
    """Make `error` of a --json document."""
    return {"code": int(error.exit_code), "message": error.message, "state": error.state, "hint": error.hint}
