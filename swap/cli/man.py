"""`swap man`: the manual pages, made from the help, so that the two cannot differ. Roff for man(7), without a date: the same
version gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import typer.main

from swap import __version__
from swap.cli.commands import app
from swap.cli.output import emit_json, print_lines
from swap.core import errors
from swap.core.errors import SwapError, UsageError

ENVIRONMENT = (
    ("SWAP_DSN", "The connection, where --dsn does not name it: a libpq URI or conninfo string."),
    ("SWAP_CONFIG", "The configuration, where --config does not name it. Else ./swap.toml."),
    ("SWAP_SNAPSHOT_DIR", "Where `swap hook pg_dump` writes."),
    ("PG*", "libpq's own variables, its service file and ~/.pgpass, where neither says how to connect."),
    ("NO_COLOR", "No colours."),
)
FILES = (
    ("swap.toml", "The configuration. `swap init TABLE` writes it."),
    ("~/.pgpass", "Passwords: no command line and no configuration has to hold one."),
)
PREFIX = "swap"


def work(out: Path | None, command: str | None, *, as_json: bool) -> None:
    """Raises UsageError for an unknown command or a directory that cannot be written."""
    made = pages()
    name = page_name(command)
    if name not in made:
        raise UsageError(f"No such command {command!r}.", hint="`swap help` lists the commands.")
    if out is None:
        if as_json:
            emit_json({"pages": made})
        else:
            print_lines(made[name].splitlines())
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, text in made.items():
            (out / file).write_text(text, encoding="utf-8")
    except OSError as e:
        raise UsageError(f"Cannot write {out}: {e.strerror}.", hint="Name another directory with --out.") from None
    if as_json:
        emit_json({"path": str(out), "pages": sorted(made)})
    else:
        print_lines([f"Wrote {len(made)} pages to {out}. man -M looks in the directory above man1."])


def page_name(command: str | None) -> str:
    return f"{PREFIX}-{command}.1" if command else f"{PREFIX}.1"


def pages() -> dict[str, str]:
    """Every page by the name of its file: swap.1, and one for each command."""
    group: Any = typer.main.get_command(app)
    top = typer.Context(group, info_name=PREFIX, **group.context_settings)
    commands: dict[str, Any] = dict(group.commands)
    made = {page_name(None): _text(_overview(group, top, commands))}
    for name, command in commands.items():
        context = typer.Context(command, info_name=name, parent=top)
        made[page_name(name)] = _text(_command_page(name, command, context))
    return made


def _overview(group: Any, context: Any, commands: dict[str, Any]) -> Iterator[str]:
    yield from _title("swap", "change a live table's primary key from bigint to uuid")
    yield from _section("SYNOPSIS", [r"\fBswap\fR \fICOMMAND\fR [\fIOPTIONS\fR]"])
    yield from _section("DESCRIPTION", [_plain(group.help)])
    yield ".SH COMMANDS"
    for name, command in commands.items():
        yield from _item(rf"\fBswap\-{_plain(name)}\fR(1)", command.short_help)
    yield from _options(group, context)
    yield from _environment()
    yield from _exit_status()
    yield from _section("SEE ALSO", [", ".join(rf"\fBswap\-{_plain(c)}\fR(1)" for c in commands) + r", \fBpsql\fR(1)"])


def _command_page(name: str, command: Any, context: Any) -> Iterator[str]:
    yield from _title(f"swap-{name}", (command.short_help or command.help).rstrip("."))
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    yield from _section("SYNOPSIS", [_plain(usage)])
    yield from _section("DESCRIPTION", [_plain(command.help)])
    yield from _options(command, context)
    yield from _section("EXAMPLE", [".nf", _plain(command.epilog.removeprefix("Example: ")), ".fi"])
    yield from _environment()
    yield from _exit_status()
    yield from _section("SEE ALSO", [r"\fBswap\fR(1)"])


def _title(name: str, does: str) -> Iterator[str]:
    yield f'.TH "{_plain(name.upper())}" "1" "" "swap {_plain(__version__)}" "swap"'
    yield from _section("NAME", [rf"{_plain(name)} \- {_plain(does)}"])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield from lines


def _options(command: Any, context: Any) -> Iterator[str]:
    records = [p.get_help_record(context) for p in command.get_params(context)]
    yield ".SH OPTIONS"
    for left, right in (r for r in records if r):
        yield from _item(rf"\fB{_plain(left)}\fR", right)


def _environment() -> Iterator[str]:
    for title, rows in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        yield f".SH {title}"
        for name, text in rows:
            yield from _item(rf"\fB{_plain(name)}\fR", text)


def _exit_status() -> Iterator[str]:
    """The tree of errors itself says what each code means (swap/core/errors.py)."""
    yield ".SH EXIT STATUS"
    yield from _item("0", "Done, or nothing left to do.")
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SwapError) and c is not SwapError]
    for kind in sorted(classes, key=lambda c: c.exit_code):
        yield from _item(str(int(kind.exit_code)), (kind.__doc__ or "").strip())


def _item(term: str, text: str | None) -> Iterator[str]:
    yield from (".TP", term, _plain(" ".join((text or "").split())))


def _plain(text: str) -> str:
    """Text for roff: no line begins a request, no character is an escape, a hyphen is one that can be copied."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def _text(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"
