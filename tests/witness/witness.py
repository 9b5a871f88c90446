"""The witness of one schema: runs a command, looks at what it did, and lets the application's statements run again."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

import psycopg

from tests.support.fixture_run import FixtureRun
from tests.witness.application import Application, AppTable, Session, read_application
from tests.witness.evidence import Evidence, changes, dump, physical, sequences
from tests.witness.promise import Promise
from tests.witness.session import AppSession, Observed
from tests.witness.statements import AppStatement, Writer


@dataclass
class Witness:
    run: FixtureRun
    promise: Promise
    app: Application
    tables: list[AppTable]  # of which nothing may change
    statements: list[AppStatement]
    session: AppSession
    sequences: list[int]
    first: dict[AppStatement, Observed] = field(default_factory=dict)
    first_dump: list[str] = field(default_factory=list)
    first_types: list[object] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def begin(cls, run: FixtureRun, promise: Promise) -> Witness:
        """Before `prepare`. The session that it opens lasts over all states."""
        conn: Session = psycopg.connect(run.db.superuser, autocommit=True)
        with closing(conn):
            app = read_application(conn)
            tables = app.untouched(promise.broken)
            calls = [] if promise.broken else list(app.calls)
            writer = Writer(conn, app)
            statements = writer.statements(tables, list(app.views), calls)
            found = sequences(conn)
        session = AppSession(run.db.superuser, app, tables)
        session.keep(writer.prepared)
        made = cls(run, promise, app, tables, statements, session, found)
        made.counts["statements"] = len(statements)
        made.counts["schemas"] = 1
        for reason in promise.broken.values():
            made.counts[f"left out: {reason}"] += 1
        if reaching := app.reaching(tables):
            made.counts["left out, writes: a foreign key's action leads to a table that is left out"] = len(reaching)
        return made

    def close(self) -> None:
        self.session.close()

    @property
    def unfired(self) -> list[str]:
        """The application's triggers, of the tables that were written, whose function no statement has called."""
        called = {oid for seen in self.first.values() for oid in seen.called}
        reaching = self.app.reaching(self.tables)
        return [f"{t}: {n}" for t in self.tables if t.oid not in reaching for n, f in t.triggers if f not in called]

    def after(self, *command: str) -> None:
        """Run the command, or none; then everything is as it was first."""
        if command:
            before = self._physical()
            self.run.run(*command)
            self.failures += [f"{' '.join(command)}: {change}" for change in changes(before, self._physical())]
        self._dump(command)
        self._statements(command)
        self.session.restore_sequences()

    @property
    def others(self) -> list[tuple[str, str]]:
        """The tables of the application that may change."""
        return [(t.schema, t.name) for t in self.app.tables if t not in self.tables]

    def _physical(self) -> Evidence:
        return physical(self.session.conn, self.app, self.tables, self.sequences)

    def _dump(self, command: tuple[str, ...]) -> None:
        found = dump(self.run.server, self.run.db.dbname, [*self.promise.shadows, *self.others])
        self.first_dump = self.first_dump or found
        if found != self.first_dump:
            gone, new = Counter(self.first_dump) - Counter(found), Counter(found) - Counter(self.first_dump)
            self.failures.append(f"{' '.join(command)}: pg_dump: gone {list(gone)[:20]}, new {list(new)[:20]}")

    def _statements(self, command: tuple[str, ...]) -> None:
        for statement in self.statements:
            seen = self.session.run(statement)
            difference = self.first.setdefault(statement, seen).difference(seen)
            if difference:
                self.failures.append(f"{' '.join(command)}: {statement}\n  {difference}")
        types = self.session.result_types()
        self.first_types = self.first_types or types
        if types != self.first_types:
            self.failures.append(f"{' '.join(command)}: the result types of prepared statements: {types}, {self.first_types}")
        if not command:
            self.counts["without an error"] = sum(seen.error is None for seen in self.first.values())
