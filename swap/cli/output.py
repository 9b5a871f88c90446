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
from typing import Any

from swap.core.errors import SwapError
from swap.core.printable import json_safe, printable, printable_document
from swap.core.secrets import mask

PLAIN_EVERY_S = 5.0
DRAWN_EVERY_S = 0.5


def for_people(text: str) -> str:
    """A text as it may be shown: without passwords, control characters as their escapes."""
    return printable(mask(text))


def emit_json(document: Any) -> None:
    """Write the one JSON document of a --json command."""
    shown = printable_document(document, for_people)
    sys.stdout.write(json_safe(json.dumps(shown, indent=2, default=str, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def print_lines(lines: list[str]) -> None:
    """Write lines for people."""
    sys.stdout.write("".join(f"{for_people(line)}\n" for line in lines))
    sys.stdout.flush()


def print_sql(lines: list[str]) -> None:
    """Write SQL, to the character unless a terminal shows it: it is saved and run."""
    if sys.stdout.isatty():
        print_lines(lines)
        return
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


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
