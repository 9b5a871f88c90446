"""What the tests of rehearsals share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from tests.support.servers import Database, DatabaseServer, Execute

Databases = Callable[[], set[str]]
NewClone = Callable[[Database], Database]


@pytest.fixture
def databases(server: DatabaseServer) -> Databases:
    """The names of the server's databases now."""

    def names() -> set[str]:
        with closing(psycopg.connect(server.conninfo(), autocommit=True)) as conn:
            return {str(name) for (name,) in conn.execute("SELECT datname FROM pg_database")}

    return names


@pytest.fixture
def new_clone(new_database: Callable[[str], Database], admin: Execute) -> NewClone:
    """Factory: a copy of a database, dropped after the test."""

    def make(db: Database) -> Database:
        made = new_database(db.dbname)
        admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(made.dbname)))
        return made

    return make
