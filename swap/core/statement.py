"""A statement is data: SQL, the lock it takes and why, and its undo. `plan`, `--dry-run` and the real run share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum, auto

from psycopg import sql

from swap.core.names import TableName, quote
from swap.core.sql_text import Query, under_path

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


class Kind(Enum):
    """What a statement is about. Code decides by this; `why` is for people."""

    TABLE = auto()
    COLUMN = auto()
    NOT_NULL = auto()
    CONSTRAINT = auto()
    FOREIGN_KEY = auto()
    INDEX = auto()
    MARK = auto()  # CLUSTER mark and replica identity
    STATISTICS = auto()
    SEQUENCE = auto()
    TRIGGER = auto()
    POLICY = auto()
    DEFAULT = auto()
    VIEW = auto()
    FUNCTION = auto()
    GRANT = auto()
    COMMENT = auto()
    SECURITY_LABEL = auto()
    PUBLICATION = auto()
    ROWS = auto()  # copies or fills a range
    MAINTENANCE = auto()  # VACUUM, ANALYZE
    LOCK = auto()
    CAPTURE = auto()  # what swap keeps for itself: queue, capture, guards, fence, publication, slot
    SET_ASIDE = auto()  # views and functions of before, kept in the state schema
    RECOMPILE = auto()  # open sessions compile and plan again


class Verb(Enum):
    """What a statement does with its object."""

    CREATE = auto()
    ALTER = auto()
    DROP = auto()


@dataclass(frozen=True)
class Statement:
    """One SQL statement. `lock` is the strongest mode it takes on `table`; `undo` takes it back, with the same lock or `undo_lock`.

    `object` is what findings and `[accept]` call the object, where that is not `table`; see `part`.
    `transactional` False: it cannot run in a transaction block (CREATE INDEX CONCURRENTLY, VACUUM).
    `takes_back`: it is the undo of another one.
    `path`: schemas of operators that the text cannot name (swap.catalog.meaning). It is run, and taken back, under this search_path.
    """

    sql: Query
    why: str
    table: TableName | None = None
    lock: str = ""
    undo: Query | None = None
    transactional: bool = True
    undo_lock: str | None = None
    _: KW_ONLY
    kind: Kind
    verb: Verb = Verb.ALTER
    object: str = ""
    takes_back: bool = False
    path: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[Query, ...]:
        """What is sent to the server, one after another: the statement, between two that set search_path where it has a `path`."""
        return under_path(self.sql, self.path)

    @property
    def whole(self) -> Query:
        """`messages` as one."""
        return sql.SQL(";\n").join(self.messages) if self.path else self.sql

    @property
    def text(self) -> str:
        return self.whole.as_string(None)

    @property
    def blocks(self) -> str:
        return BLOCKS[self.lock]

    def reversed(self) -> Statement:
        """The statement that takes this one back."""
        if self.undo is None:
            raise ValueError(f"no way back for: {self.text}")
        lock = self.lock if self.undo_lock is None else self.undo_lock
        verb = {Verb.CREATE: Verb.DROP, Verb.DROP: Verb.CREATE}.get(self.verb, Verb.ALTER)
        return replace(
            self, sql=self.undo, why=f"undo: {self.why}", lock=lock, undo=self.sql, undo_lock=self.lock, verb=verb,
            takes_back=not self.takes_back,
        )  # fmt: skip


def part(table: TableName, name: str) -> str:
    """What findings call a part of a table: `public.users.users_email_key`."""
    return f"{table}.{quote(name)}"


@dataclass(frozen=True)
class Step:
    """A journalled step: its statements run in one transaction, under `lock` on `tables` when it names any."""

    name: str
    statements: tuple[Statement, ...]
    tables: tuple[TableName, ...] = ()
    lock: str = ""


def script(statements: Iterable[Statement]) -> sql.Composed:
    """The statements as one string, for one round trip (the simple query protocol runs them in order)."""
    return sql.SQL(";\n").join(s.whole for s in statements)


def undo_all(statements: Iterable[Statement]) -> list[Statement]:
    """The way back: every undo, last first."""
    return [s.reversed() for s in reversed(list(statements))]
