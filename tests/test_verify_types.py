"""Every family of types: values that are equal to their type but not identical are told apart by both methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.fix_cli import Cli
from tests.fix_server import Connect, Database
from tests.operating import Operator
from tests.verify_cases import TYPE_SETUP, TYPES, TypeCase
from tests.verifying import METHODS, Verified, plain
from verify.findings import Report

USERS = "public.users"


@pytest.mark.timeout(240)
def test_every_type_family(database: Database, connect: Connect, cli: Cli, tmp_path: Path) -> None:
    owner = prepare_types(connect(database.superuser), database, connect)
    op = Operator(cli, database, tmp_path)
    op("prepare")
    op("sync", "--once")
    types = Verified(database, owner, op)
    assert {types(m).verdict for m in METHODS} == {"identical"}
    present = {r[0] for r in owner.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0")}
    missed = [
        (method, case.type)
        for n, case in enumerate(TYPES)
        if f"c{n}" in present
        for method, report in planted(types, case, f"c{n}").items()
        if plain(report) != [(USERS, 1, "different", (f"c{n}",))]
    ]
    assert missed == []


def planted(types: Verified, case: TypeCase, column: str) -> dict[str, Report]:
    update = sql.SQL("UPDATE users_new SET {} = {} WHERE id = 1")
    name = sql.Identifier(column)
    types.owner.execute(update.format(name, sql.SQL(case.planted)))
    reports = {method: types(method, jobs=1) for method in METHODS}
    types.owner.execute(update.format(name, sql.SQL(case.value)))
    return reports


def prepare_types(superuser: psycopg.Connection[Any], database: Database, connect: Connect) -> psycopg.Connection[Any]:
    """A table with a column of each type; extensions that this server does not have are left out."""
    available = {r[0] for r in superuser.execute("SELECT name FROM pg_available_extensions")} | {"", "insensitive"}
    for extension in {c.setup for c in TYPES} & available - {"", "insensitive"}:
        superuser.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
    superuser.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(database.dbname)))
    superuser.execute("GRANT CREATE ON SCHEMA public TO swap_owner")
    owner = connect(database.owner)
    owner.execute(TYPE_SETUP)
    cases = [(sql.Identifier(f"c{n}"), c) for n, c in enumerate(TYPES) if c.setup in available]
    columns = [sql.SQL("{} {}").format(name, sql.SQL(c.type)) for name, c in cases]
    owner.execute(sql.SQL("CREATE TABLE users (id bigserial PRIMARY KEY, {})").format(sql.SQL(", ").join(columns)))
    values = [sql.SQL(c.value) for _, c in cases]
    owner.execute(
        sql.SQL("INSERT INTO users ({}) SELECT {} FROM generate_series(1, 5)").format(
            sql.SQL(", ").join(name for name, _ in cases), sql.SQL(", ").join(values)
        )
    )
    return owner
