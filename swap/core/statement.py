"""A statement is data: SQL, the lock it takes and why, and its undo. `plan`, `--dry-run` and the real run share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query

AX = "ACCESS EXCLUSIVE"

# PostgreSQL documentation, 13.3 "Explicit Locking", table 13.2: what each table lock makes others wait for.
BLOCKS = {
    "": "nothing",
    "ACCESS SHARE": "only ACCESS EXCLUSIVE (DDL)",
    "ROW SHARE": "EXCLUSIVE and ACCESS EXCLUSIVE (DDL)",
    "ROW EXCLUSIVE": "CREATE INDEX and stronger (DDL)",
    "SHARE UPDATE EXCLUSIVE": "VACUUM, ANALYZE and DDL; no reads or writes",
    "SHARE": "INSERT, UPDATE, DELETE",
    "SHARE ROW EXCLUSIVE": "INSERT, UPDATE, DELETE",
    "EXCLUSIVE": "INSERT, UPDATE, DELETE, SELECT FOR UPDATE",
    "ACCESS EXCLUSIVE": "everything, SELECT too",
}


@dataclass(frozen=True)
class Statement:
    """One SQL statement. `lock` is the strongest mode it takes on `table`; `undo` takes it back, with the same lock or `undo_lock`.

    `transactional` False: it cannot run in a transaction block (CREATE INDEX CONCURRENTLY, VACUUM).
    """

    sql: Query
    why: str
    table: TableName | None = None
    lock: str = ""
    undo: Query | None = None
    transactional: bool = True
    undo_lock: str | None = None

    @property
    def text(self) -> str:
        return self.sql.as_string(None)

    @property
    def blocks(self) -> str:
        return BLOCKS[self.lock]

    def reversed(self) -> Statement:
        """The statement that takes this one back."""
        if self.undo is None:
            raise ValueError(f"no way back for: {self.text}")
        lock = self.lock if self.undo_lock is None else self.undo_lock
        return Statement(self.undo, f"undo: {self.why}", self.table, lock, self.sql, self.transactional, self.lock)


@dataclass(frozen=True)
class Step:
    """A journalled step: its statements run in one transaction, under `lock` on `tables` when it names any."""

    name: str
    statements: tuple[Statement, ...]
    tables: tuple[TableName, ...] = ()
    lock: str = ""


def script(statements: Iterable[Statement]) -> sql.Composed:
    """The statements as one string, for one round trip (the simple query protocol runs them in order)."""
    return sql.SQL(";\n").join(s.sql for s in statements)


def undo_all(statements: Iterable[Statement]) -> list[Statement]:
    """The way back: every undo, last first."""
    return [s.reversed() for s in reversed(list(statements))]
