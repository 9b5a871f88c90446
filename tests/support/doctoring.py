"""A role that examines a small schema with `doctor`, and what its findings are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from tests.doctor.cases import BASE
from tests.support.mode import current_mode, with_mode
from tests.support.servers import Database, DatabaseServer, Execute

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Tool:
    """A database with BASE. A role that is no superuser owns it."""

    role: str
    dbname: str
    conninfo: str
    superuser: str

    def connect(self) -> Connection:
        return Conninfo.from_options(self.conninfo, "doctor").connect()

    def run(self, statements: str, *, superuser: bool = False) -> None:
        with closing(psycopg.connect(self.superuser if superuser else self.conninfo, autocommit=True)) as conn:
            conn.execute(statements.encode())

    def doctor(self, **config: Any) -> list[Finding]:
        with closing(self.connect()) as conn:
            return examine(conn, configured(**config))


def configured(**config: Any) -> Config:
    return Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})


def named(findings: list[Finding], name: str, status: str | None = None) -> list[Finding]:
    return [f for f in findings if f.name == name and status in (None, f.status)]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def blockers(findings: list[Finding]) -> list[str]:
    return [f.label for f in findings if f.status == "blocker"]


@pytest.fixture
def make_role(admin: Execute) -> Iterator[Callable[[], str]]:
    """Factory: a login role without rights. It is dropped after the test's databases."""
    made = []

    def make() -> str:
        made.append(f"tool_{next(NUMBERS)}")
        admin(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(made[-1])))
        return made[-1]

    yield make
    for name in made:
        admin(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    for name in made:
        admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def tool(make_role: Callable[[], str], admin: Execute, server: DatabaseServer, database: Database) -> Tool:
    """A tool with every privilege that it needs."""
    role = make_role()
    made = Tool(role, database.dbname, server.conninfo(database.dbname, role), database.superuser)
    made.run(
        f"""GRANT CREATE ON DATABASE {database.dbname} TO {role}; GRANT ALL ON SCHEMA public TO {role};
            GRANT SET ON PARAMETER session_replication_role TO {role};
            DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$""",
        superuser=True,
    )
    if current_mode() == "logical":
        made.run(f"ALTER ROLE {role} REPLICATION", superuser=True)
    made.run(BASE)
    return made
