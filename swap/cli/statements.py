"""The output of a dry run."""

from __future__ import annotations

from swap.cli import listing
from swap.cli.output import emit_json, print_sql
from swap.cli.session import Session
from swap.core.statement import Statement
from swap.ddl.exact_reads import TRAPPED, drop_trap
from swap.state.journal import Run


def trap(s: Session, run: Run) -> list[Statement]:
    """What takes the trap of the last exchange away, if it is still there."""
    return drop_trap(run.plan) if s.journal.step_done(run.id, TRAPPED) else []


def print_statements(statements: list[Statement], command: str, *, as_json: bool) -> None:
    """`command`: what runs them."""
    if as_json:
        emit_json({"statements": listing.as_json(statements), "next": command})
    else:
        print_sql(listing.as_text(statements))
