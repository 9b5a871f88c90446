"""The end of a command: a document or a line, a report with or without an error, an operator who stopped it."""

from __future__ import annotations

import sys
from typing import Any

from swap.cli.log import log
from swap.cli.output import emit_json, error_document, print_lines, print_result
from swap.core import process
from swap.core.errors import StoppedError, SwapError


def conclude(document: dict[str, Any], error: SwapError | None, *, as_json: bool) -> int:
    """End a command that reports and may fail: print the document with `error` in it or the three lines. Return its code."""
    if as_json:
        emit_json(document | ({"error": error_document(error)} if error else {}))
    logged = error is not None and log.error(error)
    if error and not as_json and not logged:
        from swap.cli.terminal import print_error

        print_error(error.message, error.state, error.hint)
        if process.is_lost(sys.stderr):
            print_lines([f"error: {error.message}", f"state: {error.state}", f"next:  {error.hint}"])
    return int(error.exit_code) if error else 0


def done(as_json: bool, document: dict[str, Any], said: str) -> None:
    """End a command that did what it was asked."""
    if as_json:
        emit_json(document, result=True)
    else:
        print_result([said])


def stopped() -> StoppedError:
    """Make the error of a command that an operator or a signal interrupted."""
    return StoppedError(
        "Stopped by the operator.",
        state="What was committed before stays; the transaction in hand was rolled back.",
        hint="Run the command again when ready: it resumes.",
    )
