"""The whole cycle in this process, on any schema, with the schema dumps that must be equal (H46, I10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from cutover.finalize import abort, finalize
from cutover.run import Operation
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.core.report import Silent
from swap.doctor.examine import examine, refuse
from swap.plan.planning import read_plan
from swap.prepare.drift import store_baseline
from swap.prepare.run import resume_prepare
from swap.state.journal import Journal, Run
from swap.state.migration import Migration
from swap.sync.loop import Sync
from tests.support.dump import schema_dump
from tests.support.migration import ROLES, install
from tests.support.mode import with_mode
from tests.support.servers import Database, DatabaseServer
from verify.report import Report
from verify.run import verify
from verify.settings import VerificationSettings


@dataclass
class Whole:
    """One source's migration, command by command, as swap_owner. `dumps` holds the dump of each named moment."""

    server: DatabaseServer
    db: Database
    config: Config
    conn: Connection
    journal: Journal
    run: Run
    dumps: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepared(cls, server: DatabaseServer, db: Database, **config: Any) -> Whole:
        """Refused by `doctor` (RefusedError), or prepared: what `swap prepare` does."""
        made = Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})
        dump = schema_dump(server, db.dbname)
        conn = Conninfo.from_options(db.owner, "test").connect()
        try:
            refuse(examine(conn, made), made)
            plan = read_plan(conn, made)
            journal = Journal(conn, plan.state_schema)
            journal.create()
            with conn.transaction():
                run = journal.add_run(plan, plan.mode)
                store_baseline(conn, journal, run)
            run = resume_prepare(conn, journal, run, made, Silent())
        except BaseException:
            conn.close()
            raise
        return cls(server, db, made, conn, journal, run, {"prepare": dump})

    def sync(self) -> None:
        database = Conninfo.from_options(self.db.owner, "test")
        Sync(database, self.config, self.journal, self.run, Silent(), threading.Event(), jobs=1, once=True).run()
        self.run = self.journal.get(self.run.id)

    def verify(self) -> Report:
        database = Conninfo.from_options(self.db.owner, "test")
        migration = Migration(database, self.conn, self.journal, self.run, self.config)
        report = verify(migration, VerificationSettings(method="exact", jobs=1))
        self.run = self.journal.get(self.run.id)
        assert report.verdict == "identical", report
        assert [c for c in report.checks if c.status != "ok"] == []
        return report

    def exchange(self, kind: str) -> None:
        """`cutover` or `revert`, with what has to come before it."""
        self.sync()
        self.verify()
        self.dumps[kind] = schema_dump(self.server, self.db.dbname)
        database = Conninfo.from_options(self.db.owner, "test")
        done = Operation(
            database, self.config, self.journal, self.run, kind, Silent(), threading.Event(), lambda _conn, _run: None
        ).execute()  # fmt: skip
        assert done.outcome == "committed"
        self.run = self.journal.get(self.run.id)

    def abort(self) -> None:
        abort(self.conn, self.journal, self.run, self.config, Silent())

    def finalize(self, *, drop_legacy: bool = False) -> None:
        self.sync()
        finalize(self.conn, self.journal, self.journal.get(self.run.id), self.config, Silent(), drop_legacy=drop_legacy)

    def close(self) -> None:
        self.conn.close()

    def there_and_back(self) -> None:
        """Cutover, revert, abort, and the dumps: as before the cutover, as before `prepare`."""
        self.exchange("cutover")
        self.exchange("revert")
        self.assert_dump("cutover")
        self.abort()
        self.assert_dump("prepare")

    def assert_dump(self, moment: str) -> None:
        assert schema_dump(self.server, self.db.dbname).splitlines() == self.dumps[moment].splitlines()

    def query(self, statement: str, *, role: str | None = None) -> list[tuple[Any, ...]]:
        """In a session of its own, as swap_owner or another role."""
        conninfo = {None: self.db.owner, "app": self.db.app, "superuser": self.db.superuser}[role]
        with closing(psycopg.connect(conninfo, autocommit=True)) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


MakeWhole = Callable[..., Whole]


@pytest.fixture
def whole(server: DatabaseServer, database: Database) -> Iterator[MakeWhole]:
    """Factory: `whole(ddl, **configuration)`, prepared. `superuser` runs before `ddl`, `later` after the application's
    role got its rights."""
    opened: list[Whole] = []

    def run(conninfo: str, statements: str) -> None:
        with closing(psycopg.connect(conninfo, autocommit=True)) as conn:
            conn.execute(statements.encode())

    def make(ddl: str, *, superuser: str = "", later: str = "", **config: Any) -> Whole:
        run(database.superuser, ROLES)
        if superuser:
            run(database.superuser, superuser)
        install(database, ddl)
        if later:
            run(database.owner, later)
        opened.append(Whole.prepared(server, database, **config))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
