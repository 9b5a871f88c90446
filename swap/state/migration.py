"""One migration on its way: its connection, journal, run, configuration and reporter, as one object.

A function that acts takes a `Migration` instead of its parts one by one. A worker with a connection of its own takes
`on(conn)`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.lock_budget import LockBudget
from swap.core.report import Reporter, Silent
from swap.plan.direction import Direction, TableMapping, table_mappings
from swap.plan.model import Plan
from swap.state.journal import Journal, Run
from swap.state.locks import Locks


@dataclass
class Migration:
    """`conn` is the session that acts; `journal` writes on it. `run` is the row as it was last read: `reload` reads it again."""

    database: Database
    conn: Connection
    journal: Journal
    run: Run
    config: Config
    report: Reporter = field(default_factory=Silent)
    stop: threading.Event = field(default_factory=threading.Event)
    _mapped: tuple[Run, tuple[TableMapping, ...]] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def direction(self) -> Direction:
        return self.run.direction

    @property
    def mapping(self) -> TableMapping:
        """The source's tables and columns in the run's direction."""
        return self.mappings[0]

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """Those of all swapped tables, the source's first. Made once for each row of the run that was read."""
        if self._mapped is None or self._mapped[0] is not self.run:
            self._mapped = self.run, table_mappings(self.run.plan, self.run.direction)
        return self._mapped[1]

    @property
    def budget(self) -> LockBudget:
        """How long a short statement waits for its lock, and how often."""
        return LockBudget(self.config.cutover.lock_timeout_ms, self.config.cutover.max_attempts)

    @property
    def locks(self) -> Locks:
        """The locks of the source, for the session as it is now."""
        return Locks(self.conn, self.journal.schema, self.plan.tag, self.stop, self.report.waiting)

    def reload(self) -> Run:
        """The run's row as it is now."""
        self.run = self.journal.get(self.run.id)
        return self.run

    def reconnect(self, purpose: str) -> None:
        """The session was lost: go on with another one."""
        self.conn = self.journal.conn = self.database.connect(purpose)

    def on(self, conn: Connection) -> Migration:
        """The same migration on another session, with a journal of its own."""
        journal = Journal(conn, self.journal.schema, self.journal.source)
        journal.version = self.journal.version
        return replace(self, conn=conn, journal=journal)
