"""Runs the statements of the trial on the copies, and notes what fails (swap.doctor.trial.build)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

import psycopg
from psycopg import errors

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import Query
from swap.core.statement import Kind, Statement, Verb, part, script
from swap.doctor.finding import Finding, Remedy, blocker
from swap.doctor.trial.joins import declare, undeclared_joins
from swap.doctor.trial.proposals import view_over_integers
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.plan.model import Plan
from swap.plan.texts import FUNCTION, VIEW

BATCH = 50
CANNOT = "cannot be built over a uuid"
HINT = (
    "Write it so that it holds for a uuid (no arithmetic, no sentinel like 0, no function of an integer), or drop it"
    " before `prepare` and create it again after the cutover."
)
EXPLAINS = {
    "42501": ("function", "ownership", "view"),  # must be superuser, must be able to SET ROLE
    "42703": ("function", "view"),  # a column that is gone after the cutover
    "42804": ("foreign-key",),  # of incompatible types
    "42830": ("foreign-key",),  # no unique constraint matching
    "42883": ("function",),  # an aggregate, which has no text to make it again by
    "55000": ("view",),  # a materialized view over one that is not populated
}
"""SQLSTATEs of a failed object, and the checks whose findings say better what to do about it."""
PROVIDER = (
    "Load the provider in every session (shared_preload_libraries), or take the label away (SECURITY LABEL, `IS NULL` for its text) and"
    " give it again after the cutover."
)
GONE = "Mend what it needs first."

# Left out: swap's own objects, work on rows, and statements about objects that the copies do not have.
LEFT_OUT = {Kind.CAPTURE, Kind.SET_ASIDE, Kind.RECOMPILE, Kind.ROWS, Kind.MAINTENANCE, Kind.LOCK, Kind.SEQUENCE}
# A failure of one of these is a finding. The others name a column, a right or an option of what failed before them.
BUILT = {
    Kind.TABLE, Kind.CONSTRAINT, Kind.FOREIGN_KEY, Kind.INDEX, Kind.STATISTICS, Kind.TRIGGER, Kind.POLICY, Kind.DEFAULT, Kind.VIEW,
    Kind.FUNCTION, Kind.SECURITY_LABEL,
}  # fmt: skip


# What an exchange takes away that the copies have: triggers, and the NOT NULL of integers.
TAKEN = {Kind.TRIGGER, Kind.CONSTRAINT, Kind.NOT_NULL}


@dataclass
class Trial:
    """The result of a trial. `known`: findings from the catalog, by (name, object).

    `left_out`: statements that failed and build nothing, with the reason.
    """

    findings: list[Finding] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    built: int = 0
    failed: bool = False
    known: set[tuple[str, str]] = field(default_factory=set)

    def is_explained(self, label: str, error: psycopg.Error) -> bool:
        """Whether a check of the catalog has said why this object cannot be built.

        Another failure of the same object is news: a view of another owner's that calls max(id) needs more than the
        membership.
        """
        return any((name, label) in self.known for name in EXPLAINS.get(error.sqlstate or "", ()))


@dataclass
class Builder:
    """Runs statements on the copies and notes failures. `failed`: the labels of objects that are missing, by plain name."""

    conn: Connection
    trial: Trial
    remap: SchemaRemap
    moved: Plan
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, statements: Iterable[Statement]) -> None:
        inside = (replace(s, path=self.remap.path(s.path)) for s in statements if self._inside(s))
        for batch in _batches(inside):
            if len(batch) > 1 and self._error(script(batch)) is None:
                self.trial.built += len(batch)
                continue
            for statement in batch:
                error = self._error(statement.whole)
                if not statement.takes_back:
                    self._note(statement, error)

    def _error(self, text: Query) -> psycopg.Error | None:
        return error_in_savepoint(self.conn, partial(self.conn.execute, text))

    def _inside(self, statement: Statement) -> bool:
        """Whether the statement is about an object of the application's, on the copies alone."""
        if statement.kind in LEFT_OUT:
            return False
        if statement.kind is Kind.STATISTICS and statement.verb is not Verb.CREATE:
            return False  # the copies have no old statistics to rename
        if statement.takes_back and statement.kind not in TAKEN:
            return False
        return statement.table is None or statement.table.schema in self.remap.schemas.values()

    def _note(self, statement: Statement, error: psycopg.Error | None) -> None:
        if error is None:
            self.trial.built += 1
        elif statement.kind not in BUILT or statement.verb is not Verb.CREATE:
            self.trial.left_out.append(f"{statement.text}: {error.diag.message_primary}")
        else:
            label = self._label(statement)
            self.trial.failed = True
            joined = self._joined(statement)
            more = "" if joined else self._remedy(statement)
            if joined:
                self.trial.findings.append(self._undeclared(label, error, joined))
            elif not self.trial.is_explained(label, error):
                found = self._finding(label, error, statement.kind)
                self.trial.findings.append(replace(found, hint=f"{found.hint} Or {more}") if more else found)
            elif more:
                self.trial.findings.append(Remedy("trial", "blocker", label, "", f"Or {more}"))
            self.failed.setdefault(label.rpartition(".")[2], label)

    def _joined(self, statement: Statement) -> list[tuple[TableName, str]]:
        """The columns that a view compares with a key, and that no [[reference]] declares."""
        view = next((v for v in self.moved.catalog.views if v.name == statement.table), None)
        if statement.kind is not Kind.VIEW or view is None or self.moved.text_of(view.oid):
            return []
        return undeclared_joins(self.moved, view.definition, self.remap)

    def _undeclared(self, label: str, error: psycopg.Error, joined: list[tuple[TableName, str]]) -> Finding:
        table, column = joined[0]
        message = self.remap.readable(error.diag.message_primary or str(error))
        detail = f"compares a key with {table}.{quote(column)}, an integer that is not declared as a reference: {message}"
        return blocker("trial", label, detail, declare(table, column))

    def _remedy(self, statement: Statement) -> str:
        """The entry of the configuration that would serve; empty where swap knows none, or the operator has given one that does not."""
        if statement.kind is not Kind.VIEW or not (
            view := next((v for v in self.moved.catalog.views if v.name == statement.table), None)
        ):
            return ""
        return "" if self.moved.text_of(view.oid) else view_over_integers(self.conn, self.moved, statement, self.remap)

    def _label(self, statement: Statement) -> str:
        """What `[accept]` and the reader call the object: `public.view`, `public.table.trigger`, `public.function(bigint)`."""
        if statement.object:
            return self.remap.readable(statement.object)
        return str(self.remap.back(statement.table)) if statement.table else statement.why

    def _finding(self, label: str, error: psycopg.Error, kind: Kind) -> Finding:
        message = self.remap.readable(error.diag.message_primary or str(error))
        if kind is Kind.SECURITY_LABEL:
            return blocker("trial", label, f"its security label cannot be given again: {message}", PROVIDER)
        if isinstance(error, errors.UndefinedTable):
            missing = next((whole for name, whole in self.failed.items() if name in message), None)
            if missing is not None:
                found = blocker("trial", label, f"needs {missing}, which {CANNOT}", GONE)
                return replace(found, follows=f"trial:{missing}")
        if section := self._given(label):
            return blocker("trial", label, f"its text of [[{section}]] cannot be: {message}", "Correct its `definition`.")
        return blocker("trial", label, f"{CANNOT}: {message}", HINT)

    def _given(self, label: str) -> str:
        """The section of the configuration that has the object's text; else empty."""
        for text in self.moved.texts:
            at = self.remap.back(text.table)
            names = {str(at)} if text.kind == VIEW else {part(at, text.name), str(at.renamed(text.name))}
            if label in names or (text.kind == FUNCTION and label.startswith(f"{at}(")):
                return text.kind
        return ""


def _batches(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Group statements into one round trip and one savepoint each: 200 references are 3000 statements.

    Where one of a batch fails, the caller runs them one by one. A statement that may fail because the copies do not have its
    object is a batch of its own.
    """
    for may_fail, run in groupby(statements, key=lambda s: s.takes_back):
        mine = list(run)
        size = 1 if may_fail else BATCH
        yield from (mine[n : n + size] for n in range(0, len(mine), size))
