"""The whole cycle of one small schema, by the driver, with the schema as it was at each turn (H46)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from cutover.run import Outcome
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import Finding, examine, refuse
from tests.support.dump import schema_dump, without_fence
from tests.support.migration import Driver, all_in_place, configuration, install
from tests.support.servers import Database, DatabaseServer
from verify.report import Report

# Flags of foreign keys that pg_get_constraintdef prints, and those that it does not.
FLAGS = """
SELECT k.conrelid::regclass::text, k.conname, k.confrelid::regclass::text, pg_get_constraintdef(k.oid), k.convalidated,
       k.condeferrable, k.condeferred, k.confupdtype, k.confdeltype, k.confmatchtype,
       ARRAY(SELECT a.attname::text FROM unnest(k.confdelsetcols) c(n) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.n),
       obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k WHERE k.contype = 'f' ORDER BY 1, 2
"""


def doctor(db: Database, **config: Any) -> list[Finding]:
    """What `swap doctor` finds, as the tables' owner."""
    with closing(Conninfo.from_options(db.owner, "doctor").connect()) as conn:
        return examine(conn, configuration(**config))


class Cycle:
    """One source on its way through a whole cycle, with the schema as it was at each turn."""

    def __init__(self, server: DatabaseServer, db: Database, ddl: str | None, *, in_place: bool = False, **config: Any) -> None:
        """`ddl`: None where the schema is there already. `in_place`: every reference gets its uuid column in place."""
        self.server, self.db = server, db
        if ddl is not None:
            install(db, ddl)
        if in_place:
            config = all_in_place(db, **config)
        self.original = self.dump()
        self.flags = self.foreign_keys()
        self.findings = doctor(db, **config)
        refuse(self.findings, configuration(**config))
        self.m = Driver.begin(db, **config)
        self.before_cutover = ""

    def dump(self) -> str:
        return schema_dump(self.server, self.db.dbname)

    def foreign_keys(self) -> list[tuple[Any, ...]]:
        with closing(psycopg.connect(self.db.superuser)) as conn:
            return conn.execute(FLAGS).fetchall()

    def verify(self) -> Report:
        return self.m.verify()

    def verified(self) -> None:
        report = self.verify()
        assert report.verdict == "identical", (report.findings, [c for c in report.checks if c.status != "ok"])

    def exchange(self, kind: str) -> Outcome:
        return self.m.exchange(kind)

    def be_patient(self) -> None:
        """From now on no attempt fails because the machine is busy: a test of short attempts ends with one that must succeed."""
        patient = {"max_attempts": 9, "lock_timeout_ms": 20_000, "max_lock_hold_ms": 20_000}
        cutover = self.m.config.cutover.model_copy(update=patient)
        self.m.config = self.m.config.model_copy(update={"cutover": cutover})

    def ready(self) -> None:
        """Prepared, built, verified; the schema noted."""
        self.m.synced()
        self.verified()
        self.before_cutover = self.dump()

    def cutover(self) -> Outcome:
        outcome = self.exchange("cutover")
        self.caught_up()
        return outcome

    def caught_up(self) -> None:
        self.m.sync()
        self.verified()

    def revert(self) -> None:
        """The schema is that of before the cutover, byte for byte (H46)."""
        self.exchange("revert")
        assert without_fence(self.dump()) == without_fence(self.before_cutover)
        self.caught_up()

    def abort(self) -> None:
        """No trace is left (H46)."""
        self.m.abort()
        assert self.dump() == self.original


Start = Callable[..., Cycle]


@pytest.fixture
def start(server: DatabaseServer, database: Database) -> Iterator[Start]:
    """Factory: `start(ddl, **configuration)`, whose session is closed after the test. `db`: another database."""
    made: list[Cycle] = []

    def make(ddl: str | None, db: Database = database, **config: Any) -> Cycle:
        made.append(Cycle(server, db, ddl, **config))
        return made[-1]

    yield make
    for cycle in made:
        cycle.m.close()
