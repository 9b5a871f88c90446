"""Checks, tables and errors, in colour on a terminal. rich honours NO_COLOR."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from swap.cli.log import Color, log
from swap.cli.output import columns_of, for_people, wrapped
from swap.core.printable import one_line
from swap.core.units import counted

INDENT = " " * 9  # a line feed in a text begins no line of its own
STATUS_STYLE = {"ok": "green", "warning": "yellow", "blocker": "bold red", "failed": "bold red"}


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Make a console that shows a text as it is: it highlights nothing, and `:key:` stays `:key:`."""
    forced = {Color.always: True, Color.never: None, Color.auto: None}[log.color]
    never = True if log.color is Color.never else None
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap, force_terminal=forced, no_color=never)


def show(out: Console, text: str, *, indent: int = 0, label: str = "", style: str = "", bold: str = "") -> None:
    """Print `label` and `text`, cut between words to the width of the terminal; the lines after the first are indented. `style`: of the
    label, `bold`: a part of the text."""
    columns = columns_of(sys.stderr if out.stderr else sys.stdout)
    lines = [piece for line in f"{label}{text}".split("\n") for piece in wrapped(line, columns, indent)]
    for n, line in enumerate(lines):
        shown = Text(line)
        if not n:
            shown.stylize(style, 0, len(label))
            if bold and bold in line:
                at = line.index(bold)
                shown.stylize("bold", at, at + len(bold))
        out.print(shown)


def print_checks(rows: list[dict[str, Any]], *, fold: bool = False) -> None:
    """Print the checks of `doctor` or `verify`, the worst first. `fold`: those that are ok in one line."""
    out = console()
    order = {"failed": 0, "blocker": 0, "warning": 1, "ok": 2}
    for row in sorted(rows, key=lambda r: order.get(r["status"], 3)):
        if fold and row["status"] == "ok":
            continue
        subject = f" {one_line(row['object'])}" if row.get("object") else ""
        show(
            out, f"{row['name']}{subject}", indent=len(INDENT), label=f"{row['status']:8} ", style=STATUS_STYLE.get(row["status"], ""),
            bold=row["name"],
        )  # fmt: skip
        for key in ("detail", "hint"):
            if row.get(key) and (row["status"] != "ok" or key == "detail"):
                for line in for_people(str(row[key])).split("\n"):
                    show(out, INDENT + line, indent=len(INDENT))
    if fold and (fine := [r for r in rows if r["status"] == "ok"]):
        names = ", ".join(dict.fromkeys(r["name"] for r in fine))
        said = f"{counted(len(fine), 'check')} ({names}); --all shows them"
        show(out, said, indent=len(INDENT), label=f"{'ok':8} ", style=STATUS_STYLE["ok"])


def print_table(columns: list[str], rows: list[list[Any]]) -> None:
    """Columns of numbers after a name. Where the screen is too narrow for that, the name stands in a line of its own: no name is cut."""
    out = console()
    texts = [[f"{v:,}" if isinstance(v, int) else "-" if v is None else one_line(str(v)) for v in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    at_most = columns_of(sys.stdout)
    apart = at_most is not None and sum(widths) + 2 * len(widths) - 2 > at_most
    if apart:
        widths[0] = 2
    for n, row in enumerate([columns, *texts]):
        if apart and n:
            out.print(Text(row[0]))
        name = "" if apart else row[0]
        line = "  ".join([name.ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True))])
        out.print(Text(line, style="" if n else "bold"))


def print_error(message: str, state: str, hint: str) -> None:
    """Print the three lines of every failure."""
    err = console(stderr=True)
    for label, style, text in (("error: ", "bold red", message), ("state: ", "bold", state), ("next:  ", "bold", hint)):
        show(err, for_people(text), indent=len(label), label=label, style=style)
