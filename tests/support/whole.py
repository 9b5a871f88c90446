"""The whole cycle in this process, on any schema, with the schema dumps that must be equal (H46, I10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from swap.doctor.examine import refuse
from tests.support.cycling import doctor
from tests.support.dump import schema_dump, without_fence
from tests.support.migration import ROLES, Driver, configuration, install
from tests.support.servers import Database, DatabaseServer
from verify.report import Report


@dataclass
class Whole:
    """A driver, and `dumps`: the schema at each named moment."""

    server: DatabaseServer
    m: Driver
    dumps: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepared(cls, server: DatabaseServer, db: Database, **config: Any) -> Whole:
        """Refused by `doctor` (RefusedError), or prepared: what `swap prepare` does."""
        dump = schema_dump(server, db.dbname)
        refuse(doctor(db, **config), configuration(**config))
        driver = Driver.begin(db, **config)
        try:
            driver.prepare()
        except BaseException:
            driver.close()
            raise
        return cls(server, driver, {"prepare": dump})

    @property
    def db(self) -> Database:
        return self.m.db

    def sync(self) -> None:
        self.m.sync()

    def verify(self) -> Report:
        report = self.m.verify()
        assert report.verdict == "identical", report
        assert [c for c in report.checks if c.status != "ok"] == []
        return report

    def exchange(self, kind: str) -> None:
        """`cutover` or `revert`, with what has to come before it."""
        self.sync()
        self.verify()
        self.dumps[kind] = schema_dump(self.server, self.db.dbname)
        assert self.m.exchange(kind).outcome == "committed"

    def abort(self) -> None:
        self.m.abort()

    def finalize(self, *, drop_legacy: bool = False) -> None:
        self.sync()
        self.m.finalize(drop_legacy=drop_legacy)

    def close(self) -> None:
        self.m.close()

    def there_and_back(self) -> None:
        """Cutover, revert, abort, and the dumps: as before the cutover, as before `prepare`."""
        self.exchange("cutover")
        self.exchange("revert")
        self.assert_dump("cutover")
        self.abort()
        self.assert_dump("prepare")

    def assert_dump(self, moment: str) -> None:
        seen = (t for t in (schema_dump(self.server, self.db.dbname), self.dumps[moment]))
        now, then = seen if moment == "prepare" else (without_fence(t) for t in seen)
        assert now.splitlines() == then.splitlines()

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
