"""The mapping between integers and uuids: no collision, invertible, and nothing that an application can compute (I3, I8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from swap.ddl.key_mapping import resolver_names
from tests.support.migration import Driver, Migrate, migrations
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
INSERT INTO users (email) SELECT 'u' || g FROM generate_series(1, 200) g;
INSERT INTO users (id, email) VALUES (-5, 'negative'), (0, 'zero'), (9223372036854775807, 'last'), (-9223372036854775808, 'first');
"""
DERIVED = {"identity": {"existing": "derived"}}


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def prepared(migrate: Migrate, database: Database) -> Driver:
    m = migrate(database, SCHEMA, **DERIVED)
    m.prepare()
    return m


def ask(m: Driver, query: str) -> list[tuple[object, ...]]:
    to_uuid, to_key = resolver_names(m.plan)
    return m.conn.execute(sql.SQL(query).format(uuid=to_uuid.sql, key=to_key.sql)).fetchall()


def test_every_integer_has_one_uuid_and_comes_back(prepared: Driver) -> None:
    """At the ends of bigint, at zero and below it too; each is a uuid of version 4."""
    rows = ask(
        prepared,
        "SELECT id, {key}({uuid}(id)), {uuid}(id)::text ~ '^.{{8}}-.{{4}}-4.{{3}}-[89ab]' FROM public.users ORDER BY id",
    )
    assert len(rows) == 204
    assert all(row == (row[0], row[0], True) for row in rows)
    assert ask(prepared, "SELECT count(DISTINCT {uuid}(g)) FROM generate_series(1, 20000) g") == [(20_000,)]


def derived(key: int, secret_1: bytes, secret_2: bytes) -> UUID:
    """The derivation, written a second time."""
    tag = _bits(secret_1 + key.to_bytes(8, signed=True)) & 0xFFFFFFFFFFFF03FF
    body = key % 2**64 ^ _bits(secret_2 + tag.to_bytes(8))
    high = tag & ~0xFFFF | 0x4000 | (tag & 0x3FF) << 2 | body >> 62
    return UUID(int=high << 64 | 1 << 63 | body & (1 << 62) - 1)


def _bits(given: bytes) -> int:
    return int.from_bytes(hashlib.sha256(given).digest()[:8])


HOSTILE = """
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.wrong(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1::bigint';
CREATE OPERATOR hostile.# (FUNCTION = hostile.wrong, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR hostile.& (FUNCTION = hostile.wrong, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT ''00000000''::pg_catalog.bytea';
CREATE DOMAIN hostile.uuid AS pg_catalog.uuid CHECK (false);
CREATE DOMAIN hostile.bytea AS pg_catalog.bytea CHECK (false);
"""


def test_a_uuid_stays_what_it_was_whatever_computes_it(prepared: Driver) -> None:
    """On each version, and under any search_path: a uuid that a client has seen outlives an upgrade of either (I8)."""
    keys = [1, -5, 0, 2**63 - 1, -(2**63), *range(1000, 1100)]
    prepared.conn.execute(HOSTILE)
    prepared.conn.execute("SET search_path = hostile, pg_catalog")
    rows = prepared.conn.execute(
        "SELECT k, swap.derived_uuid(k, 'x', 'y'), swap.derived_key(swap.derived_uuid(k, 'x', 'y'), 'x', 'y')"
        " FROM pg_catalog.unnest(%s::bigint[]) k",
        [keys],
    ).fetchall()
    assert rows == [(key, derived(key, b"x", b"y"), key) for key in keys]


def test_another_uuid_decodes_to_nothing(prepared: Driver) -> None:
    """Neither a random uuid nor one that differs in one bit from a derived one."""
    assert ask(prepared, "SELECT count({key}(gen_random_uuid())) FROM generate_series(1, 20000)") == [(0,)]
    flipped = (
        "SELECT count({key}(overlay({uuid}(1)::text PLACING to_hex(15 - ('x' || substr({uuid}(1)::text, p, 1))::bit(4)::int)"
        " FROM p)::uuid)) FROM unnest('{{1,2,8,10,13,16,17,18,21,23,25,30,36}}'::int[]) p"
    )
    assert ask(prepared, flipped) == [(0,)]


def test_the_source_is_not_touched(migrate: Migrate, database: Database) -> None:
    """No column, no guard, no fence: capture triggers alone (I1)."""
    m = migrate(database, SCHEMA, **DERIVED)
    before = m.conn.execute("SELECT ctid, xmin, u FROM public.users u ORDER BY id").fetchall()
    m.prepare()
    assert m.conn.execute("SELECT ctid, xmin, u FROM public.users u ORDER BY id").fetchall() == before
    triggers = m.conn.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.users'::regclass ORDER BY 1").fetchall()
    expected = ["swap_capture", "swap_capture_deleted", "swap_capture_moved", "swap_truncate"]
    assert [t for (t,) in triggers] == (expected if m.plan.mode == "trigger" else [])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT swap.users_uuid(1)",
        "SELECT swap.derived_uuid(1, 'x', 'y')",
        "SELECT object FROM swap.secret",
        "SELECT lo_get(oid) FROM pg_largeobject_metadata",
    ],
)
def test_an_application_cannot_compute_a_uuid(prepared: Driver, database: Database, statement: str) -> None:
    """The functions, the place of the secret and the secret itself are this role's alone."""
    with psycopg.connect(database.app, autocommit=True) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())


def test_the_secret_is_in_no_statement(prepared: Driver) -> None:
    """The text of a copy or of a replay reads it by a sub-select."""
    ((secret,),) = prepared.conn.execute("SELECT lo_get(object) FROM swap.secret").fetchall()
    assert len(secret) == 64
    texts = prepared.conn.execute("SELECT coalesce(prosrc, '') FROM pg_proc WHERE pronamespace = 'swap'::regnamespace")
    assert not any(secret[:16].hex() in text for (text,) in texts)


def test_resolver_roles_may_resolve(migrate: Migrate, database: Database) -> None:
    m = migrate(database, SCHEMA, **DERIVED, names={"resolver_roles": ["app"]})
    m.prepare()
    with psycopg.connect(database.app, autocommit=True) as app:
        assert app.execute("SELECT swap.users_legacy(swap.users_uuid(7))").fetchone() == (7,)


def test_two_runs_of_one_source_have_one_mapping(migrate: Migrate, database: Database) -> None:
    """`abort` keeps the secret and the exceptions: a second run gives no row another uuid."""
    m = migrate(database, SCHEMA, **DERIVED)
    m.prepare()
    first = ask(m, "SELECT {uuid}(1)")
    m.abort()
    again = migrate(database, **DERIVED)
    again.prepare()
    assert ask(again, "SELECT {uuid}(1)") == first


def test_new_rows_get_a_uuid_of_version_7(migrate: Migrate, database: Database) -> None:
    """On every server, and in the order of their creation (to the millisecond)."""
    m = migrate(database, SCHEMA, identity={"existing": "derived", "generate": "uuidv7"})
    m.prepare()
    shadow = m.plan.shadow.sql
    insert = sql.SQL("INSERT INTO {} (id, email) VALUES (%s, 'x') RETURNING uuid_id").format(shadow)
    first, second = (m.conn.execute(insert + sql.SQL(""), [n]).fetchone() for n in (1001, 1002))
    assert first is not None
    assert second is not None
    assert (first[0].version, second[0].version) == (7, 7)
    assert first[0].int >> 80 <= second[0].int >> 80
    m.abort()
    assert m.conn.execute("SELECT count(*) FROM pg_proc WHERE proname = 'users_uuidv7'").fetchone() == (0,)
