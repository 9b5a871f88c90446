"""`swap init`: write a commented swap.toml for one table."""

from __future__ import annotations

from pathlib import Path

from swap.cli.output import emit_json, print_lines
from swap.core.connection import Database
from swap.core.errors import UsageError
from swap.core.names import parse_table
from swap.prepare.init import refuse_place, render, write


def work(table: str, out: Path, *, force: bool, dsn: str | None, as_json: bool) -> None:
    try:
        name = parse_table(table)
    except ValueError as e:
        raise UsageError(f"{e}.") from None
    refuse_place(out, force=force)
    with Database.from_options(dsn, "init").session() as conn:
        text = render(conn, name)
    write(out, text, force=force)
    if as_json:
        emit_json({"path": str(out), "table": str(name), "next": "swap doctor"})
    else:
        print_lines([f"Wrote {out}. Read it, declare or ignore the look-alikes, then run `swap doctor`."])
