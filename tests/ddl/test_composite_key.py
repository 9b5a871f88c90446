"""A source whose primary key is (tenant_id, id), where id is unique by itself (H22). The whole schema: `tests/fixtures/composite_keys`."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from swap.core.connection import Database as Conninfo
from swap.core.names import TableName
from swap.prepare.init import render
from tests.support.cycling import Start, doctor, start
from tests.support.migration import install
from tests.support.servers import Database

__all__ = ["start"]

SCHEMA = """
CREATE TABLE users (tenant_id int, id bigserial, email text, uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(), PRIMARY KEY (tenant_id, id));
CREATE UNIQUE INDEX users_by_id ON users (id);
CREATE TABLE sessions (tenant_id int NOT NULL, id bigserial PRIMARY KEY, user_id bigint NOT NULL,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE logs (id bigserial PRIMARY KEY, actor_id bigint REFERENCES users (id));
CREATE UNIQUE INDEX ON logs (actor_id, id);
INSERT INTO users (tenant_id, email) SELECT n % 3, n FROM generate_series(1, 30) n;
INSERT INTO sessions (tenant_id, user_id) SELECT tenant_id, id FROM users;
INSERT INTO logs (actor_id) SELECT id FROM users;
"""
WRITES = """
INSERT INTO users (tenant_id, email) VALUES (7, 'new'), (7, 'new');
INSERT INTO sessions (tenant_id, user_id) SELECT tenant_id, id FROM users WHERE email = 'new';
INSERT INTO logs (actor_id) SELECT id FROM users WHERE email = 'new';
UPDATE users SET tenant_id = tenant_id + 10 WHERE email IN ('3', 'new');
DELETE FROM logs WHERE actor_id IN (SELECT id FROM users WHERE email = '4');
DELETE FROM users WHERE email = '4';
"""


@pytest.mark.parametrize("compat", [False, True], ids=["plain", "compat"])
def test_a_key_of_a_tenant(start: Start, compat: bool) -> None:
    """Rows that move to another tenant, in each phase; with the old names too. At the end the key is (tenant_id, uuid)."""
    cycle = start(SCHEMA, names={"compat": compat})
    cycle.be_patient()
    cycle.m.prepare()
    write(cycle.db, WRITES)
    cycle.m.sync()
    cycle.verified()
    cycle.before_cutover = cycle.dump()
    cycle.cutover()
    write(cycle.db, WRITES)
    if compat:
        upsert = "INSERT INTO users (tenant_id, uuid_id) VALUES (1, gen_random_uuid()) ON CONFLICT ({}) DO NOTHING"
        write(cycle.db, "; ".join(upsert.format(columns) for columns in ("uuid_id", "tenant_id, uuid_id", "id", "tenant_id, id")))
    cycle.caught_up()
    cycle.revert()
    write(cycle.db, WRITES)
    cycle.caught_up()
    cycle.exchange("cutover")
    cycle.caught_up()
    cycle.m.finalize(drop_legacy=True)
    write(cycle.db, WRITES)
    keys = {(f[0], f[3].split(" ON ")[0]) for f in cycle.foreign_keys()}
    assert keys == {
        ("sessions", "FOREIGN KEY (tenant_id, user_id) REFERENCES users(tenant_id, id)"),
        ("logs", "FOREIGN KEY (actor_id) REFERENCES users(id)"),
    }
    assert "legacy" not in cycle.dump()


def write(db: Database, statements: str) -> None:
    with closing(psycopg.connect(db.app)) as conn, conn.transaction():
        conn.execute(statements.encode())


def test_a_key_that_is_not_unique_by_itself(database: Database) -> None:
    """The hint, run as it is, is all that is needed; `init` chooses the column that is unique."""
    install(database, SCHEMA.replace("CREATE UNIQUE INDEX users_by_id ON users (id);", "").replace(" REFERENCES users (id)", ""))
    (found,) = [f for f in doctor(database) if f.name == "key"]
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute(found.hint.encode())
    assert [f.status for f in doctor(database) if f.name == "key"] == ["ok"]
    with closing(Conninfo.from_options(database.owner, "init").connect()) as conn:
        assert 'key = "id"' in render(conn, TableName("public", "users"))
