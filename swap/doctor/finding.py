"""Findings, the subject that they are about, and how checks read.

A check is a pure function of `Subject`, and of rows that were read for it, wherever that is possible: it can be tested without a
server then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeVar

from psycopg import errors, sql

from swap.catalog.model import BoundPolicy, Catalog, Table
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import TableName, quote
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.plan.model import COLUMN, DERIVED, TABLE, ColumnPair, Plan, RefColumns
from swap.plan.references import key_pair
from swap.plan.strategy import existing

PACKAGE = "swap.doctor"
Status = Literal["ok", "warning", "blocker"]
T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: what was found about `object` and why it matters (`detail`), and the command that fixes it (`hint`).

    `acceptable`: `[accept] findings = ["name:object"]` turns this blocker into a warning. Nothing else silences a finding.
    `follows`: the label of the finding that this one goes with (swap.doctor.follow); empty where it stands alone.
    """

    name: str
    status: Status
    object: str
    detail: str
    hint: str = ""
    acceptable: bool = False
    follows: str = ""

    @property
    def label(self) -> str:
        """Its name in `[accept] findings`."""
        return f"{self.name}:{self.object}"


@dataclass(frozen=True)
class Remedy(Finding):
    """No finding of its own: one more hint for the blockers about the same object."""


def with_remedies(found: Iterable[Finding], remedies: Iterable[Finding]) -> list[Finding]:
    """The findings, with the hints of the remedies for them. The remedies themselves are left out."""
    more = {r.object: r.hint for r in remedies if isinstance(r, Remedy)}
    return [replace(f, hint=f"{f.hint} {more[f.object]}") if f.status == "blocker" and f.object in more else f for f in found]


@dataclass(frozen=True)
class Subject:
    """The application that is examined. `plan`: None where nothing can be planned, since the key or a reference is unusable."""

    catalog: Catalog
    config: Config
    references: tuple[RefColumns, ...] = ()
    plan: Plan | None = None

    @property
    def source(self) -> Table:
        return self.catalog.source

    @property
    def tables(self) -> tuple[Table, ...]:
        """The source and every table with a reference. The catalog lists more tables: those of foreign keys that are no reference."""
        names = {self.source.name, *(r.table for r in self.references)}
        return tuple(t for t in self.catalog.tables if t.name in names)

    def pairs_of(self, table: TableName) -> tuple[ColumnPair, ...]:
        """The exchanged columns of the source, its key first, or of a table with references."""
        key = [key_pair(self.config)] if table == self.source.name else []
        return (*key, *(r.pair for r in self.references if r.table == table and not r.companion))

    @property
    def others(self) -> tuple[RefColumns, ...]:
        """The references that get a uuid column in place."""
        return tuple(r for r in self.references if r.strategy == COLUMN)

    @property
    def derived(self) -> bool:
        """Whether the uuids of the source are computed, so that it gets no column."""
        return existing(self.catalog, self.config, self.references) == DERIVED

    @property
    def rebuilt(self) -> tuple[Table, ...]:
        """The tables that get a shadow, the source first."""
        names = {r.table for r in self.references if r.strategy == TABLE and not r.own}
        return (self.source, *(t for t in self.tables if t.name in names))

    @property
    def bound_policies(self) -> tuple[BoundPolicy, ...]:
        """The policies of other tables that read a table that gets a shadow."""
        oids = {t.oid for t in self.rebuilt}
        return tuple(p for p in self.catalog.policies if p.oid not in oids and not oids.isdisjoint(p.reads))


def subject_of(plan: Plan) -> Subject:
    """The subject of a run: the application as it was when the run was planned."""
    config = Config.model_validate({"source": {"table": str(plan.source), "key": plan.key}})
    return Subject(plan.catalog, config, plan.all_references, plan)


def ok(name: str, subject: object, detail: str) -> Finding:
    return Finding(name, "ok", str(subject), detail)


def warning(name: str, subject: object, detail: str, hint: str = "") -> Finding:
    return Finding(name, "warning", str(subject), detail, hint)


def blocker(name: str, subject: object, detail: str, hint: str, *, acceptable: bool = False) -> Finding:
    return Finding(name, "blocker", str(subject), detail, hint, acceptable)


def or_ok(found: Iterable[Finding], name: str, subject: object, detail: str) -> list[Finding]:
    """The findings; where there are none, one finding of status ok: a check that found nothing says so."""
    return list(found) or [ok(name, subject, detail)]


def qualified(table: TableName, name: str) -> str:
    """A column, constraint or trigger of a table, as a person writes it."""
    return f"{table}.{quote(name)}"


def in_schema(table: TableName, name: str) -> str:
    """A relation in the schema of a table, as a person writes it."""
    return str(table.renamed(name))


def read(conn: Connection, cls: type[T], file: str, **params: object) -> list[T]:
    """The rows of one of this package's `.sql` files, one `cls` each, by the names of their columns."""
    return fetch(conn, cls, load_sql(PACKAGE, file), params)


def read_values(conn: Connection, file: str, **params: object) -> list[Any]:
    """The values of one of this package's `.sql` files that has one column."""
    return fetch_values(conn, load_sql(PACKAGE, file), params)


class Count(NamedTuple):
    """How many rows of a table."""

    rows: int


@dataclass(frozen=True)
class NotChecked:
    """Why a scan has no result."""

    reason: str


def scan(conn: Connection, cls: type[T], statement: sql.Composed, timeout_ms: int) -> list[T] | NotChecked:
    """The rows of a read-only scan of application data, one `cls` each. Holds ACCESS SHARE for `timeout_ms` at most."""
    try:
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            conn.execute(local_timeout("statement_timeout", timeout_ms))
            return fetch(conn, cls, statement)
    except errors.QueryCanceled:
        return NotChecked(f"not checked within {timeout_ms / 1000:g} s")
    except errors.LockNotAvailable:
        return NotChecked("not checked: the table is locked by another session")
    except errors.InsufficientPrivilege as e:
        return NotChecked(f"not checked: {e.diag.message_primary}")
