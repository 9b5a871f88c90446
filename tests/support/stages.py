"""Databases that were brought to a stage once per process, and are copied: what many tests begin from, and do not test.

Slots do not travel with `CREATE DATABASE … TEMPLATE`. A copy in which nobody has written yet gets its own: everything
that commits after it is streamed, and there is nothing before it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Database as Target
from swap.core.names import TableName
from swap.ddl.replication import SLOT
from swap.prepare.slot import make_slot
from swap.state.journal import Journal
from swap.state.migration import Migration
from tests.support.mode import current_mode
from tests.support.servers import Database, DatabaseServer, Execute

USERS = TableName("public", "users")
ALLOW = sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner")
END_SLOTS = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"


class Stages:
    """`template` is the name of a database to be copied; `fill` replaces a test's own database by such a copy."""

    def __init__(self, server: DatabaseServer, admin: Execute) -> None:
        self.server, self.admin = server, admin
        self.built: dict[Hashable, str] = {}

    def template(self, key: Hashable, base: str, build: Callable[[Database], object]) -> str:
        """What `build` makes of a copy of `base`, with the capture of this test."""
        key = (key, base, current_mode())
        if key not in self.built:
            name = f"stage_{len(self.built) + 1}"
            self._create(name, base)
            if base in self.built.values():
                carry_over(self.database(name))
            build(self.database(name))
            with closing(psycopg.connect(self.server.conninfo(name), autocommit=True)) as conn:
                conn.execute(END_SLOTS)
            self.built[key] = name
        return self.built[key]

    def fill(self, database: Database, template: str) -> None:
        self._create(database.dbname, template)
        carry_over(database)

    def adopt(self, database: Database) -> Database:
        """A copy that somebody else has made of a template."""
        self.admin(ALLOW.format(sql.Identifier(database.dbname)))
        carry_over(database)
        return database

    def database(self, name: str) -> Database:
        s = self.server
        return Database(name, s.conninfo(name), s.conninfo(name, "swap_owner"), s.conninfo(name, "app"))

    def _create(self, name: str, base: str) -> None:
        copy = sql.Identifier(name)
        self.admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(copy))
        self.admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, sql.Identifier(base)))
        if base != "template0":  # a copy has none of the privileges of the database itself; there, `install` grants it
            self.admin(ALLOW.format(copy))


def carry_over(database: Database) -> None:
    """What does not come along in a copy: the slot; and a verification is as old as the copy, however long ago that of the
    template was."""
    target = Target.from_options(database.owner, "test")
    with closing(target.connect()) as conn:
        if conn.execute("SELECT to_regclass('swap.run')").fetchone() == (None,):
            return
        conn.execute("UPDATE swap.verification SET finished_at = clock_timestamp() WHERE finished_at IS NOT NULL")
        journal = Journal(conn, "swap", take_over=True)
        journal.record_here()  # the copy is made on purpose, in one moment of one cluster: `swap adopt-clone` would forget more
        run = journal.current(USERS)
        if run is not None and run.mode == "logical" and journal.step_done(run.id, SLOT):
            config = Config.model_validate({"source": {"table": str(USERS)}})
            make_slot(Migration(target, conn, journal, run, config))


@pytest.fixture(scope="session")
def stages(server: DatabaseServer, admin: Execute) -> Stages:
    return Stages(server, admin)
