"""`cutover` and `revert` share this: options before the configuration, the dry run, the exchange and its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from cutover.run import ExchangeCommand, Outcome, no_snapshot
from swap.cli.output import emit_json, print_result
from swap.cli.session import Session
from swap.cli.statements import print_statements
from swap.core.config import with_cutover
from swap.core.units import counted
from swap.ddl.phases import before_exchange, exchange_statements
from swap.doctor.exact_reads import reads_exactly
from swap.state.journal import Run
from swap.state.migration import Migration

Hook = Callable[[Migration], str | None]


def override(s: Session, options: Mapping[str, object]) -> None:
    """Put the options that were given before [cutover] of the configuration. Raises UsageError where the configuration would."""
    given = {k: v for k, v in options.items() if v is not None}
    s.config = with_cutover(s.config, given)


def print_exchange(s: Session, run: Run, kind: str, *, as_json: bool) -> None:
    """Print the statements of the exchange, and run none."""
    turn = s.journal.capture.after_exchange(run.id, run.plan.tag)
    exact = reads_exactly(s.journal.conn, s.config.cutover.reads)
    statements = [*before_exchange(run.plan, run.direction), *exchange_statements(run.plan, kind, *turn, exact=exact)]
    print_statements(statements, f"swap {kind}", as_json=as_json)


def told(s: Session, kind: str) -> Callable[[Migration], None]:
    """What begins at the commit: the event `after_cutover` or `after_revert`."""

    def committed(m: Migration) -> None:
        s.events.go_on()
        made = m.journal.attempts.last(m.run.id)
        held = made.locked_ms if made else None
        said = "" if held is None else f"; writes were held {held:.0f} ms"
        s.events.tell(f"after_{kind}", f"the {kind} of {m.run.source} is committed{said}.", locked_ms=held)

    return committed


def held(s: Session) -> Hook:
    """No snapshot; but nothing is sent from the gates that decide to the commit."""

    def hook(m: Migration) -> str | None:
        s.events.hold()
        return no_snapshot(m)

    return hook


def execute(s: Session, command: ExchangeCommand, *, as_json: bool) -> None:
    """Run the exchange and print how it ended."""
    outcome = command.execute()
    s.close()
    s.ending.set(f"{outcome.outcome} in attempt {outcome.attempts}, writes were held {outcome.locked_ms:.0f} ms")
    print_outcome(asdict(outcome), outcome_lines(command.kind, outcome), as_json=as_json)


def print_outcome(document: dict[str, object], lines: list[str], *, as_json: bool) -> None:
    """Print an exchange that is committed, as a document or for people."""
    if as_json:
        emit_json(document | {"next": "swap sync"}, result=True)
    else:
        print_result(lines)


def outcome_lines(kind: str, outcome: Outcome) -> list[str]:
    """How the exchange ended, for people."""
    behind = f"at most {counted(outcome.blocked_sessions_max, 'session')} waited, {outcome.blocked_ms_max:.0f} ms at the longest"
    return [
        f"{kind} {outcome.outcome} in attempt {outcome.attempts}: writes were held {outcome.locked_ms:.0f} ms",
        f"the lock was granted after {outcome.lock_wait_ms:.0f} ms; {behind}",
        f"{outcome.drained_changes:,} changes drained and {outcome.compared_keys:,} keys compared under the lock",
        *([_quoted(outcome.verification)] if outcome.verification else []),
        *([f"PgBouncer held its clients for {outcome.paused_ms:.0f} ms"] if outcome.paused_ms is not None else []),
        *([f"{outcome.disconnected} sessions of before were ended"] if outcome.disconnected or outcome.clients_left else []),
        *(f"left, in a transaction: {who}" for who in outcome.clients_left),
        *([f"snapshot: {outcome.snapshot}"] if outcome.snapshot else []),
        "foreign keys are validated; `swap sync` now keeps the "
        + (
            "retired table in sync; `swap verify` opens the way to `swap revert`" if kind == "cutover" else "shadow in sync again"
        ),
    ]


def _quoted(v: dict[str, object]) -> str:
    """Name the verification that the exchange relied on."""
    return f"it relied on verification {v['id']} ({v['method']}, {v['rows']:,} rows, {v['finished_at']})"
