"""A command that writes is journalled: who, from where, with which options, and how it ended (swap.state.history).

It never gets in the way of the command: where the journal cannot be written, nothing is recorded.
"""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import pq

import swap
from swap.core.connection import translate
from swap.core.errors import ExitCode, SwapError
from swap.core.secrets import hide
from swap.state.journal import Journal, Run

CONNECTIONS = ("--dsn", "--on", "--against")  # options whose values are connection strings
OUTCOME_CHARS = 500


@dataclass
class Ending:
    """How the command ends, as far as it does not raise: `text` for people."""

    exit_code: int = ExitCode.DONE
    text: str = "done"

    def set(self, text: str, exit_code: int = ExitCode.DONE) -> None:
        self.text, self.exit_code = text, exit_code


@contextmanager
def recorded(journal: Journal, run: Run | None, command: str) -> Iterator[Ending]:
    """Journal the command around the block. Without a run it is journalled at its end, in the run that it made."""
    token, ending = _begin(journal, run, command) if run else None, Ending()
    try:
        yield ending
    except BaseException as e:
        _end(journal, run, token, *_failed(e))
        raise
    if run is None and (run := _made(journal)) is not None:
        token = _begin(journal, run, command)
    _end(journal, run, token, ending.exit_code, ending.text)


def given(arguments: Sequence[str]) -> str:
    """The options as they were given, without connection strings."""
    out, skip = [], False
    for word in arguments:
        if not skip and word.partition("=")[0] not in CONNECTIONS:
            out.append(word)
        skip = not skip and word in CONNECTIONS
    return hide(" ".join(out), arguments)


def _begin(journal: Journal, run: Run, command: str) -> str | None:
    user = "?"
    with suppress(KeyError, OSError):  # a container may have no name for its user
        user = getpass.getuser()
    said = {
        "command": f"swap {command}", "options": given(sys.argv[2:]), "role": journal.conn.info.user, "user": user,
        "host": socket.gethostname(), "version": swap.__version__,
    }  # fmt: skip
    with suppress(psycopg.Error):
        return journal.history.begin(run.id, said)
    return None


def _made(journal: Journal) -> Run | None:
    if journal.source is None or not _usable(journal):
        return None
    with suppress(psycopg.Error, SwapError):
        return journal.current(journal.source)
    return None


def _end(journal: Journal, run: Run | None, token: str | None, code: int, text: str) -> None:
    if run is None or token is None or not _usable(journal):
        return
    with suppress(psycopg.Error):
        journal.history.end(run.id, token, int(code), text[:OUTCOME_CHARS])


def _usable(journal: Journal) -> bool:
    conn = journal.conn
    return not conn.closed and not conn.broken and conn.info.transaction_status == pq.TransactionStatus.IDLE


def _failed(error: BaseException) -> tuple[int, str]:
    if isinstance(error, psycopg.Error):
        error = translate(error)
    if isinstance(error, SwapError):
        return int(error.exit_code), error.journalled
    stopped = isinstance(error, KeyboardInterrupt)
    return (int(ExitCode.STOPPED), "stopped") if stopped else (int(ExitCode.DEFECT), type(error).__name__)
