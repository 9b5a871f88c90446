"""How a command ends: a document or a line, a list of statements, a report that may be an error."""

from __future__ import annotations

from typing import Any

from swap.cli import listing
from swap.cli.output import emit_json, error_document, print_error, print_lines
from swap.core.errors import SwapError
from swap.core.statement import Statement


def conclude(document: dict[str, Any], error: SwapError | None, *, as_json: bool) -> int:
    """End of a command that reports and may fail: the report, then the three lines (or `error` in the document)."""
    if as_json:
        emit_json(document | ({"error": error_document(error)} if error else {}))
    elif error:
        print_error(error.message, error.state, error.hint)
    return int(error.exit_code) if error else 0


def print_statements(statements: list[Statement], *, as_json: bool) -> None:
    if as_json:
        emit_json({"statements": listing.as_json(statements)})
    else:
        print_lines(listing.as_text(statements))


def done(as_json: bool, document: dict[str, Any], said: str) -> None:
    if as_json:
        emit_json(document)
    else:
        print_lines([said])
