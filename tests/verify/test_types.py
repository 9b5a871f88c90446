"""Every family of types: both methods tell values apart that are equal for their type but not identical."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.catalog.model import Column
from swap.core.connection import Connection
from swap.plan.direction import TableMapping
from tests.support.commands import Cli
from tests.support.operator import Operator
from tests.support.servers import Connect, Database, ExampleFactory
from tests.support.verification import Planted
from tests.support.verifying import METHODS, Verified, plain
from tests.verify.cases import INSENSITIVE, TYPE_SETUP, TYPES, TypeCase
from verify.changed_keys import compare_keys
from verify.checksum import RangeDigest, canonical, digest_range
from verify.exact import compare_range
from verify.ranges import KeyRange
from verify.report import Method, Report

USERS = "public.users"


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.timeout(240)
def test_every_type_family(
    example: ExampleFactory, database: Database, connect: Connect, cli: Cli, tmp_path: Path, planted: Planted
) -> None:
    """Plants values in the shadow, and runs whole verifications; then in the retired table, and compares one range in a
    transaction that is rolled back."""
    example()  # the roles come with it
    owner = prepare_types(connect(database.superuser), database, connect)
    op = Operator(cli, database, tmp_path)
    op("prepare")
    op("sync", "--once")
    types = Verified(database, owner, op)
    assert {types(m).verdict for m in METHODS} == {"identical"}
    present = {r[0] for r in owner.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0")}
    cases = [(f"c{n}", case) for n, case in enumerate(TYPES) if f"c{n}" in present]
    missed = []
    for n, (column, case) in enumerate(cases):
        method = METHODS[n % len(METHODS)]  # either: the comparison of one range, below, is made with both
        caught = plain(in_the_shadow(types, case, column, method)) == [(USERS, 1, "different", (column,))]
        planted(method, caught)
        missed += [] if caught else [(method, case.type)]
    assert missed == []
    op("verify")
    op("cutover", "--yes", "--no-snapshot")
    op("sync", "--once")
    assert {types(m).verdict for m in METHODS} == {"identical"}
    with types.session() as conn:
        for column, case in cases:
            exact, digest = in_the_retired_table(conn, types.mapping(), case, column)
            planted("exact", exact == [(1, (column,))])
            planted("checksum", not digest.equal)
            assert (exact, digest.equal) == ([(1, (column,))], False), case.type


def in_the_retired_table(
    conn: Connection, d: TableMapping, case: TypeCase, column: str
) -> tuple[list[tuple[int | str, tuple[str, ...]]], RangeDigest]:
    """The rows that the exact comparison names, and the digests of both sides."""
    everything, nothing = KeyRange(1), array("q")
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL search_path = public, pg_catalog")
        conn.execute(sql.SQL("UPDATE users_old SET {} = {} WHERE id = 1").format(sql.Identifier(column), sql.SQL(case.planted)))
        digest = digest_range(conn, d, everything, nothing)
        keys = compare_range(conn, d, everything, nothing, 10).keys
        return [(f.shown, f.columns) for f in compare_keys(conn, d, keys)], digest


def in_the_shadow(types: Verified, case: TypeCase, column: str, method: Method) -> Report:
    update = sql.SQL("UPDATE users_new SET {} = {} WHERE id = 1")
    name = sql.Identifier(column)
    types.owner.execute(update.format(name, sql.SQL(case.planted)))
    report = types(method, jobs=1)
    types.owner.execute(update.format(name, sql.SQL(case.value)))
    return report


def prepare_types(superuser: psycopg.Connection[Any], database: Database, connect: Connect) -> psycopg.Connection[Any]:
    """Create a table with a column of each type, without the types of extensions that this server does not have."""
    available = {r[0] for r in superuser.execute("SELECT name FROM pg_available_extensions")}
    for extension in {c.needs for c in TYPES} & available:
        superuser.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
    available.add("")
    superuser.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(database.dbname)))
    superuser.execute("GRANT CREATE ON SCHEMA public TO swap_owner")
    owner = connect(database.owner)
    owner.execute(TYPE_SETUP)
    for feature, probe in (("insensitive", INSENSITIVE), ("xml", "SELECT '<a/>'::xml")):
        with suppress(psycopg.errors.FeatureNotSupported):  # a build without ICU or libxml
            owner.execute(probe)
            available.add(feature)
    cases = [(sql.Identifier(f"c{n}"), c) for n, c in enumerate(TYPES) if c.needs in available]
    columns = [sql.SQL("{} {}").format(name, sql.SQL(c.type)) for name, c in cases]
    owner.execute(sql.SQL("CREATE TABLE users (id bigserial PRIMARY KEY, {})").format(sql.SQL(", ").join(columns)))
    values = [sql.SQL(c.value) for _, c in cases]
    owner.execute(
        sql.SQL("INSERT INTO users ({}) SELECT {} FROM generate_series(1, 5)").format(
            sql.SQL(", ").join(name for name, _ in cases), sql.SQL(", ").join(values)
        )
    )
    return owner


def test_a_collation_that_ignores_differences_is_not_trusted() -> None:
    """Its value is hashed as text, under the default collation. This runs on a build without ICU too."""
    column = Column("c", 1, "text", False, None, "", "", "public.x", None, None, None, (), None, None, "text", "b", False)
    value = sql.Identifier("c")
    assert canonical(column, value) == (value, False)
    assert canonical(replace(column, deterministic=True), value) == (value, True)
    assert canonical(replace(column, base_kind="c", deterministic=True), value) == (value, False)
