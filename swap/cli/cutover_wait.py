"""`cutover --wait-for FILE --window HH:MM-HH:MM`, and `cutover --now` from elsewhere."""

from __future__ import annotations

import getpass
import socket
from contextlib import suppress
from pathlib import Path

from cutover.gates import check_phase
from cutover.wait import Terms
from swap.cli.question import ExchangeQuestion, ask_exchange
from swap.cli.results import done
from swap.cli.session import Session, opened
from swap.core.daily_window import DailyWindow
from swap.core.errors import RefusedError, UsageError
from swap.state.locks import WAITING, Locks

TAKEN_UP_S, POLL_S = 30.0, 0.1


def read_terms(wait_for: Path | None, window: str | None) -> Terms:
    """Raises UsageError for what can never be."""
    if wait_for is not None:
        try:
            there = wait_for.absolute().parent.is_dir()
        except (OSError, ValueError):  # ValueError: a zero byte
            there = False
        if not there:
            raise UsageError(f"--wait-for: there is no directory {str(wait_for.parent)[:200]} for the file to come into.")
    try:
        return Terms(wait_for, DailyWindow.parse(window) if window is not None else None)
    except ValueError as e:
        raise UsageError(f"--window {str(e).replace('must be', 'is')}.") from None


def refuse_others(given: bool) -> None:
    """Raises UsageError where `--now` has other options beside it: the cutover that waits has its own."""
    if given:
        raise UsageError(
            "--now goes with --yes alone: the cutover that waits has its own options.", hint="swap cutover --now --yes"
        )


def work(dsn: str | None, config: Path | None, *, yes: bool, as_json: bool) -> None:
    """`swap cutover --now`: tell the one that waits to begin, and wait until it does."""
    with opened("cutover", dsn, config, graceful=True) as s:
        run = s.need_run("cutover")
        check_phase(run, "cutover")
        locks = Locks(s.journal.conn, s.journal.schema, run.plan.tag)
        waiting = locks.holder(WAITING)
        if waiting is None:
            raise RefusedError("No cutover waits.", hint="`swap cutover` begins one at once.")
        ask_exchange(s, run, ExchangeQuestion("cutover", hook=f"of the cutover that waits ({waiting})"), yes=yes)
        message = s.journal.steering.tell_now(run.id, _who())
        _await_begin(s, run.id, message, locks)
        s.ending.set(f"told {waiting} to begin")
    done(
        as_json,
        {"told": str(waiting), "next": "swap status --watch"},
        f"{waiting} begins; `swap status` shows what becomes of it",
    )


def _who() -> str:
    user = "?"
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def _await_begin(s: Session, run_id: int, message: int, locks: Locks) -> None:
    """Raises RefusedError when it ends without having begun, or does not hear."""
    left = TAKEN_UP_S / POLL_S
    while not s.journal.steering.has_begun(run_id, message):
        waits, left = locks.holder(WAITING), left - 1
        if waits is None and not s.journal.steering.has_begun(run_id, message):
            raise RefusedError(
                "The cutover that waited has ended without having begun.", hint="`swap history` says how it ended."
            )
        if left < 0 or s.stop.wait(POLL_S):
            raise RefusedError(
                f"The cutover that waits ({waits or 'just ended'}) has not begun yet; it was told.",
                state="It begins when it hears, or has ended.", hint="`swap status` shows which.",
            )  # fmt: skip
