"""Checks, tables and errors, in colour on a terminal. rich honours NO_COLOR."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swap.cli.output import for_people
from swap.core.printable import one_line

INDENT = " " * 9  # a line feed in a text begins no line of its own
STATUS_STYLE = {"ok": "green", "warning": "yellow", "blocker": "bold red", "failed": "bold red"}


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Make a console that shows a text as it is: it highlights nothing, and `:key:` stays `:key:`."""
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap)


def print_checks(rows: list[dict[str, Any]]) -> None:
    """Print the checks of `doctor` or `verify`, the worst last so that they stay on the screen."""
    out = console()
    order = {"ok": 0, "warning": 1, "blocker": 2, "failed": 2}
    for row in sorted(rows, key=lambda r: order.get(r["status"], 3)):
        line = Text(f"{row['status']:8} ", style=STATUS_STYLE.get(row["status"], ""))
        line.append(row["name"], style="bold")
        if row.get("object"):
            line.append(f" {one_line(row['object'])}")
        out.print(line)
        for key in ("detail", "hint"):
            if row.get(key) and (row["status"] != "ok" or key == "detail"):
                out.print(Text(INDENT + for_people(str(row[key])).replace("\n", f"\n{INDENT}")))


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else "-" if v is None else Text(one_line(str(v))) for v in row))
    console().print(table)


def print_error(message: str, state: str, hint: str) -> None:
    """Print the three lines of every failure."""
    err = console(stderr=True)
    err.print(Text("error: ", style="bold red") + Text(for_people(message)))
    err.print(Text("state: ", style="bold") + Text(for_people(state)))
    err.print(Text("next:  ", style="bold") + Text(for_people(hint)))
