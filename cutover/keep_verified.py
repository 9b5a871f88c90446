"""Keeps the verification fresh while a cutover waits: what `verify --watch` does, in a thread with sessions of its own.

A full pass is due halfway between [verify] full_pass_s and max_age_s. So a `verify --watch` beside, which makes one every full_pass_s,
leaves this one nothing but the changed keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from swap.core.config import Verify
from swap.core.connection import first_line
from swap.core.errors import SwapError
from swap.core.report import Reporter, Silent
from swap.state.migration import Migration
from verify.continuous import ContinuousSettings, ContinuousVerification
from verify.metrics import Metrics
from verify.settings import VerificationSettings

EVERY_S = 10.0
AGAIN_S = 5.0
END_S = 30.0


class Notes(Silent):
    """Passes on what happened once: what moves and what waits is told by who waits."""

    def __init__(self, first: Reporter) -> None:
        self.first = first

    def note(self, message: str) -> None:
        self.first.note(message)


def full_pass_due_s(verify: Verify) -> float:
    """The age at which the last full pass is made again."""
    sooner = min(verify.full_pass_s, verify.max_age_s / 2)
    return (sooner + verify.max_age_s) / 2


@contextmanager
def kept_verified(migration: Migration) -> Iterator[Callable[[], None]]:
    """While the block runs. At its end the pass in hand is given up. Yields a function that raises what the thread could not go on
    from."""
    stop, failed = threading.Event(), list[BaseException]()

    def keep() -> None:
        try:
            _keep(migration, stop)
        except BaseException as e:  # noqa: BLE001 - a defect: raised again where the command hears it
            failed.append(e)

    def check() -> None:
        for error in failed:
            raise error

    thread = threading.Thread(target=keep, name="verification", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join(END_S)


def _keep(migration: Migration, stop: threading.Event) -> None:
    """Begins again when it could not go on: the gates say what that means for the cutover."""
    report = Notes(migration.report)
    while not stop.is_set():
        try:
            with migration.database.session("verification") as conn:
                _verify(replace(migration.on(conn), stop=stop, report=report))
                return
        except (SwapError, psycopg.Error) as e:
            if not stop.is_set():
                said = e.message if isinstance(e, SwapError) else first_line(e)
                report.note(f"the verification beside the wait begins again: {said}")
            stop.wait(AGAIN_S)


def _verify(m: Migration) -> None:
    config = m.config
    settings = VerificationSettings(method="checksum", jobs=config.sync.jobs, snapshot_max_s=config.verify.snapshot_max_s)
    continuous = ContinuousVerification(
        m, ContinuousSettings(EVERY_S, full_pass_due_s(config.verify), settings), Metrics(str(m.run.source))
    )
    continuous.go_on_from_last_pass()
    continuous.run()
