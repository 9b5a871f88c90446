"""Each short statement of the plan, tried on the clone in the state in which it will run, and the locks that it took.

One transaction runs the statements of a phase one by one, asks after each which locks are new, and is rolled back. It does without
the LOCK TABLE that comes first in the real run: that one would hide what a statement takes of its own.

What is not tried: statements that run outside a transaction, copy or fill ranges of rows, build indexes, or read a whole table to
validate a constraint. They are messages of their own in the real run, so the sampler sees them there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from swap.core.connection import Connection, Database
from swap.core.lock_retries import RETRIED, local_timeout
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.core.statement import BLOCKS, Kind, Statement

STRENGTH = {mode: n for n, mode in enumerate(BLOCKS)}  # weakest first
WRITERS = STRENGTH["ROW EXCLUSIVE"]  # what every statement of an application takes too
TRIES = 5
LOCK_MS, STATEMENT_MS = 2_000, 60_000
# Messages of their own in the real run, or work on rows.
ALONE = {Kind.ROWS, Kind.MAINTENANCE, Kind.INDEX, Kind.LOCK}
SLOT = "replication_slot("  # making one cannot be rolled back
READS_ALL = "VALIDATE CONSTRAINT"


class OwnLock(NamedTuple):
    """A row of own_locks.sql."""

    oid: int
    mode: str


@dataclass(frozen=True)
class Tried:
    """What one statement took. `seen`: the strongest new mode on its own table; `held`: what the transaction held there before;
    `others`: new modes on other relations that were there before the transaction, by their names then. `error`: why it was not tried."""

    phase: str
    statement: Statement
    seen: str = ""
    held: str = ""
    others: tuple[tuple[str, str], ...] = ()
    ms: float | None = None
    error: str | None = None


def as_written(mode: str) -> str:
    """A mode of pg_locks in the words of LOCK TABLE: `AccessShareLock` is ACCESS SHARE."""
    words = "".join(f" {c}" if c.isupper() else c for c in mode.removesuffix("Lock"))
    return words.strip().upper()


def is_short(statement: Statement) -> bool:
    """Whether the statement is tried."""
    text = statement.text
    return statement.transactional and statement.kind not in ALONE and SLOT not in text and READS_ALL not in text


class _RollBack(Exception):
    """Ends the transaction, so that nothing of it remains."""


def try_locks(
    database: Database, phase: str, statements: Sequence[Statement], first: Callable[[Connection], None] = lambda _: None
) -> list[Tried]:
    """Every statement of the phase, in its order, after `first`. Takes the locks of all of them until the end, and rolls back. Where
    the application holds one of them too long, it tries again; after the last time `error` says so."""
    for left in reversed(range(TRIES)):
        trial = _Trial(phase)
        try:
            with database.session("locks") as conn:
                trial.run(conn, statements, first)
        except RETRIED as e:
            if not left:
                missing = statements[len(trial.found) :]
                return [*trial.found, *(Tried(phase, s, error=f"{e.diag.message_primary}") for s in missing)]
            continue
        return trial.found
    raise AssertionError


@dataclass
class _Trial:
    phase: str
    found: list[Tried] = field(default_factory=list)

    def run(self, conn: Connection, statements: Iterable[Statement], first: Callable[[Connection], None]) -> None:
        """Raises psycopg's errors of locks."""
        try:
            with conn.transaction():
                conn.execute(local_timeout("lock_timeout", LOCK_MS))
                conn.execute(local_timeout("statement_timeout", STATEMENT_MS))
                names = {int(oid): str(name) for oid, name in conn.execute(NAMES)}
                conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
                first(conn)
                for statement in statements:
                    self.found.append(self._one(conn, statement, names))
                raise _RollBack
        except _RollBack:
            pass

    def _one(self, conn: Connection, statement: Statement, names: Mapping[int, str]) -> Tried:
        if not is_short(statement):
            return Tried(self.phase, statement, error="it is not tried")
        before, own = _held(conn), _oid(conn, statement)
        began = time.monotonic()
        try:
            with conn.transaction():
                for message in statement.messages:
                    conn.execute(message)
        except RETRIED:
            raise
        except psycopg.Error as e:
            return Tried(self.phase, statement, error=f"{e.sqlstate}: {e.diag.message_primary}")
        ms = (time.monotonic() - began) * 1000
        after = _held(conn)
        own = own if own in names else _oid(conn, statement)
        new = {oid: modes - before.get(oid, set()) for oid, modes in after.items()}
        others = tuple(
            (_strongest(modes), names[oid]) for oid, modes in sorted(new.items()) if oid != own and oid in names and modes
        )
        there = own if own is not None and own in names else 0  # no session waits for a relation that this transaction has made
        seen, held = _strongest(new.get(there, ())), _strongest(before.get(there, ()))
        return Tried(self.phase, statement, seen, held, others, round(ms, 1))


NAMES = (
    "SELECT c.oid::bigint, n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema') AND c.relkind IN ('r', 'p', 'm', 'v', 'S', 'f')"
)


def _held(conn: Connection) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for lock in fetch(conn, OwnLock, load_sql("swap.rehearse", "own_locks.sql")):
        found.setdefault(lock.oid, set()).add(as_written(lock.mode))
    return found


def _strongest(modes: Iterable[str]) -> str:
    return max(modes, key=lambda m: STRENGTH.get(m, 0), default="")


def _oid(conn: Connection, statement: Statement) -> int | None:
    """The relation that the statement names, as names are now."""
    if statement.table is None:
        return None
    row = conn.execute("SELECT to_regclass(%s)::oid::bigint", [str(statement.table)]).fetchone()
    return int(row[0]) if row and row[0] is not None else None
