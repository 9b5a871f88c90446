"""Only the owner of swap's trigger functions, and the owner of the table, may create a trigger with one; and a function works for
no other table. Given a role that may read everything, it could fill the queue through a temporary table of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.support.migration import ROLES, Driver, Migrate, Synced, migrations
from tests.support.servers import Connect, Database

migrate = pytest.fixture(migrations)

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, inviter_id bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 5) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
PARTITIONED = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
CREATE TABLE sessions (user_id bigint NOT NULL REFERENCES users, day int) PARTITION BY LIST (day);
CREATE TABLE sessions_1 PARTITION OF sessions FOR VALUES IN (1);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 5) n;
INSERT INTO sessions SELECT id, 1 FROM users;
"""
FUNCTIONS = """
SELECT p.oid::regprocedure::text, p.prosrc ~ 'RAISE' FROM pg_proc p
WHERE p.pronamespace = 'swap'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY 1
"""


def phases(m: Driver) -> Iterator[str]:
    """Each phase of a run, the run being in it."""
    m.prepare()
    yield "prepared"
    for kind, phase in (("cutover", "cut over"), ("revert", "reverted"), ("cutover", "cut over again")):
        m.sync()
        yield f"before the {kind}"
        assert m.verify().verdict == "identical"
        m.exchange(kind)
        yield phase
    m.finalize()
    yield "finalized"


def attach(reader: psycopg.Connection[Any], function: str) -> None:
    """A temporary table with every column that swap's functions read, and a trigger."""
    columns = (
        "id bigint, legacy_id bigint, uuid_id uuid, user_id bigint, user_uuid_id uuid, inviter_id bigint, inviter_uuid_id uuid"
    )
    reader.execute(f"DROP TABLE IF EXISTS pg_temp.t; CREATE TEMP TABLE t ({columns})".encode())
    reader.execute(f"CREATE TRIGGER t BEFORE INSERT ON pg_temp.t FOR EACH ROW EXECUTE FUNCTION {function}".encode())


@pytest.mark.parametrize("compat", [False, True])
def test_a_reader_attaches_none(
    make_role: Callable[[], str], database: Database, connect: Connect, migrate: Migrate, compat: bool
) -> None:
    """In every phase: CREATE TRIGGER is refused; a trigger that is there already is refused by the function itself, and the queue
    stays as it is."""
    name = make_role()
    m = migrate(database, SCHEMA, names={"compat": compat})
    admin, reader = connect(database.superuser), connect(database.superuser)
    admin.execute(f"GRANT pg_read_all_data TO {name}; GRANT TEMPORARY ON DATABASE {database.dbname} TO {name}".encode())
    reader.execute(f"SET SESSION AUTHORIZATION {name}".encode())
    for phase in phases(m):
        found = admin.execute(FUNCTIONS).fetchall()
        assert found, phase
        before = m.captured() if phase != "finalized" else []
        for function, checks in found:
            with pytest.raises(errors.InsufficientPrivilege):
                attach(reader, function)
            if not checks:
                fence = m.plan.state("fence").name
                assert re.fullmatch(
                    rf"swap\.{fence}(_\d+)?\(\)", function
                )  # of each swapped table; before the first exchange it does nothing
                continue
            admin.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {name}".encode())
            attach(reader, function)
            admin.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM {name}".encode())
            with pytest.raises(errors.InsufficientPrivilege, match="belongs to public"):
                reader.execute("INSERT INTO t (id) SELECT generate_series(1, 1000)")
            reader.execute("DROP TABLE t")
        assert phase == "finalized" or m.captured() == before


@pytest.mark.trigger_only("a role of the tool's own without REPLICATION")
def test_the_tables_owner_makes_partitions(
    make_role: Callable[[], str], database: Database, connect: Connect, migrate: Migrate
) -> None:
    """I1: given a tool's role of its own, then the tables' owner creates partitions as before: their triggers are copies, for
    which the server asks this role for EXECUTE. A partition that another role owns takes rows as well."""
    tool, other = make_role(), make_role()
    admin = connect(database.superuser)
    admin.execute(ROLES)
    admin.execute(
        f"GRANT swap_owner TO {tool}; GRANT CREATE ON DATABASE {database.dbname} TO {tool}; GRANT ALL ON SCHEMA public TO {tool};"
        f" GRANT SET ON PARAMETER session_replication_role TO {tool}".encode()
    )
    connect(database.owner).execute(PARTITIONED)
    as_tool = Database(database.dbname, database.superuser, database.owner.replace("swap_owner", tool), database.app)
    m = migrate(as_tool)
    owner = connect(database.owner)
    for n, phase in enumerate(phases(m), 2):
        if phase == "finalized":
            break
        owner.execute(f"CREATE TABLE sessions_{n} PARTITION OF sessions FOR VALUES IN ({n})".encode())
        if phase == "prepared":
            admin.execute(f"ALTER TABLE sessions_{n} OWNER TO {other}".encode())
        owner.execute("INSERT INTO users (email) VALUES (%s)", [f"new{n}"])
        owner.execute("INSERT INTO sessions (user_id, day) SELECT id, %s FROM users WHERE email = %s", [n, f"new{n}"])
        owner.execute("DELETE FROM sessions WHERE day = %s", [n])
        admin.execute(f"DROP TABLE sessions_{n}".encode())  # a partition that stays is drift
    m.close()
    admin.execute(f"REASSIGN OWNED BY {tool} TO postgres; REVOKE swap_owner FROM {tool}".encode())
    admin.execute(f"REVOKE ALL ON PARAMETER session_replication_role FROM {tool}".encode())


@pytest.mark.trigger_only("it is about the functions of capture")
def test_a_table_that_is_renamed(database: Database, connect: Connect, synced: Synced) -> None:
    """I1: the application renames its tables, or gives them to another schema: its writes go on."""
    m = synced(database, SCHEMA)
    owner = connect(database.owner)
    m.forget()
    owner.execute("ALTER TABLE users RENAME TO members; CREATE SCHEMA elsewhere; ALTER TABLE sessions SET SCHEMA elsewhere")
    owner.execute("UPDATE members SET email = email || '.'; DELETE FROM elsewhere.sessions; DELETE FROM members")
    assert len(m.captured()) == 10
