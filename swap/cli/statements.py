"""The output of a dry run."""

from __future__ import annotations

from swap.cli import listing
from swap.cli.output import emit_json, print_sql
from swap.core.statement import Statement


def print_statements(statements: list[Statement], command: str, *, as_json: bool) -> None:
    """`command`: what runs them."""
    if as_json:
        emit_json({"statements": listing.as_json(statements), "next": command})
    else:
        print_sql(listing.as_text(statements))
