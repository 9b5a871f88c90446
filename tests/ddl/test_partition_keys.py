"""Foreign keys of partitions (H23): on each partition, or on some. Writers go on meanwhile (I1), every key comes back on its own
partition, and a partition that was detached for a while is noticed (H38).

The whole cycle, with the schema's text at each turn: `tests/fixtures/reference_partitions_own_keys`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random

import psycopg
import pytest
from psycopg import sql

from swap.core.errors import RefusedError
from tests.ddl.test_partitioned import ROWS, USERS, wrong
from tests.support.cycling import Start, start
from tests.support.dump import without_fence
from tests.support.fixture_run import DIRECTORY
from tests.support.servers import Database

__all__ = ["start"]

# user_id: each partition has a key, and one key is that of two partitions. editor_id: one partition has a key; in the others the
# column may hold a key of no user.
EVENTS = """
CREATE TABLE ev (id bigint, user_id bigint NOT NULL, at int NOT NULL, editor_id bigint) PARTITION BY RANGE (at);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (100) TO (200) PARTITION BY LIST (at);
CREATE TABLE ev2a PARTITION OF ev2 FOR VALUES IN (100, 110, 120);
CREATE TABLE ev2b PARTITION OF ev2 DEFAULT;
CREATE INDEX ON ev (user_id);
CREATE SEQUENCE ids START 1000;
"""
KEYS = """
ALTER TABLE ev1 ADD CONSTRAINT mine FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ev2 ADD CONSTRAINT mine FOREIGN KEY (user_id) REFERENCES users ON UPDATE CASCADE;
ALTER TABLE ev2b ADD FOREIGN KEY (editor_id) REFERENCES users ON DELETE SET NULL;
UPDATE ev1 SET editor_id = id + 1000 WHERE id < 10;
UPDATE ev SET editor_id = user_id WHERE id % 3 = 0 AND id > 10;
"""
PAIR = ("id", "user_id", "uuid_id", "user_uuid_id")
INSERT = sql.SQL(
    "INSERT INTO {} (id, user_id, at, editor_id) SELECT nextval('ids'), u.id, %s, e.id FROM users u, users e"
    " WHERE u.email = %s AND e.email = %s RETURNING id"
)
UPDATE = "UPDATE ev SET user_id = (SELECT id FROM users WHERE email = %s), at = %s WHERE id = %s"
KEPT = sql.SQL(
    "SELECT e.id, u.email FROM ev e JOIN users u ON u.{} = e.{} JOIN users v ON v.{} = e.{} AND v.email = u.email WHERE e.id >= 1000"
)


@contextmanager
def writing(db: Database) -> Iterator[dict[int, str]]:
    """Run an application that writes through the table and its partitions during the block. Yields what was acknowledged to it: row
    and user. Its statements are the same before and after a cutover. Each error of a statement fails the test."""
    said: dict[int, str] = {}
    over = threading.Event()

    def work() -> None:
        random = Random(7)
        with closing(psycopg.connect(db.app, autocommit=True, prepare_threshold=None)) as conn:
            while not over.wait(0.002):
                user, at = f"{random.randint(1, 20)}", random.randint(0, 199)
                if said and random.random() < 0.3:
                    row = random.choice(list(said))
                    conn.execute(UPDATE, [user, at, row])
                else:
                    table = random.choice(["ev", "ev1" if at < 100 else "ev2"])
                    found = conn.execute(INSERT.format(sql.Identifier(table)), [at, user, user]).fetchone()
                    assert found is not None
                    row = found[0]
                said[row] = user

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(work)
        try:
            yield said
        finally:
            over.set()
        writer.result()


def kept(db: Database, *columns: str) -> dict[int, str]:
    with closing(psycopg.connect(db.superuser)) as conn:
        return dict(conn.execute(KEPT.format(*map(sql.Identifier, columns))).fetchall())


def test_a_cycle_beside_a_writer(start: Start) -> None:
    """I1, I6: no write fails or is lost, through the table or a partition, and each key comes back on its own partition."""
    cycle = start(USERS + EVENTS + ROWS.replace("INTO ev", "INTO ev (id, user_id, at)") + KEYS)
    with closing(psycopg.connect(cycle.db.superuser, autocommit=True)) as conn:
        conn.execute("GRANT USAGE ON SEQUENCE ids TO app")
    with writing(cycle.db) as said:
        cycle.m.synced()
        cycle.verified()
        cycle.cutover()
        after = {f[:2]: f[3:5] for f in cycle.foreign_keys()}
        cycle.verified()
        cycle.exchange("revert")
        cycle.caught_up()
    assert after == {f[:2]: f[3:5] for f in cycle.flags}
    assert cycle.foreign_keys() == cycle.flags
    assert len(said) > 20
    assert kept(cycle.db, "id", "user_id", "uuid_id", "user_uuid_id") == said
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        rows = "SELECT count(*) FILTER (WHERE editor_uuid_id IS NULL), count(*) FROM ev WHERE editor_id > 1000"
        assert conn.execute(rows).fetchone() == (9, 9)


def test_each_partition_keeps_its_own_rules(start: Start) -> None:
    """H20, H23: after the cutover a key acts on its own partition only, with its own actions."""
    cycle = start(USERS + EVENTS + ROWS.replace("INTO ev", "INTO ev (id, user_id, at)") + KEYS)
    cycle.ready()
    cycle.cutover()
    insert = sql.SQL("INSERT INTO {} (id, user_id, at, editor_id) SELECT 1, {}, %s, {} FROM users WHERE legacy_id = 1")
    known, nobody = sql.Identifier("id"), sql.SQL("gen_random_uuid()")
    with closing(psycopg.connect(cycle.db.app, autocommit=True)) as conn:
        for table, user, at, editor in (("ev", nobody, 5, known), ("ev2a", nobody, 100, known), ("ev2b", known, 101, nobody)):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                conn.execute(insert.format(sql.Identifier(table), user, editor), [at])
        conn.execute(insert.format(sql.Identifier("ev"), known, nobody), [5])
        conn.execute(insert.format(sql.Identifier("ev2a"), known, nobody), [100])
        with conn.transaction():  # a child before its parent: the key is deferred
            conn.execute("INSERT INTO ev1 (id, user_id, at) VALUES (2, '00000000-0000-4000-8000-00000000000a', 6)")
            conn.execute("INSERT INTO users (id, email) VALUES ('00000000-0000-4000-8000-00000000000a', 'late')")
        conn.execute("DELETE FROM ev2 WHERE user_id = (SELECT id FROM users WHERE legacy_id = 20)")
        conn.execute("DELETE FROM users WHERE legacy_id = 20")
    cycle.caught_up()
    assert wrong(cycle.db, "id", "user_id", "legacy_id", "user_legacy_id") == 0
    cycle.before_cutover = ""
    cycle.exchange("revert")
    cycle.caught_up()
    assert wrong(cycle.db, *PAIR) == 0


def test_nothing_is_left_of_the_integers(start: Start) -> None:
    """H45: also a primary key, unique constraints, and keys of partitions over the integers."""
    cycle = start((DIRECTORY / "reference_partitioned_keys/before.sql").read_text(encoding="utf-8"))
    cycle.ready()
    cycle.cutover()
    m = cycle.m
    m.finalize(drop_legacy=True)
    assert "legacy" not in cycle.dump()
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        keys = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conname ~ 'visits|2024' ORDER BY 1"
        found = conn.execute(keys).fetchall()
    assert [k[1] for k in found] == ["PRIMARY KEY (user_id, at)"] * 5


def test_a_partition_that_was_away(start: Start) -> None:
    """H38: no trigger guarded its rows while it was detached. Attached again, its text is the same as before."""
    cycle = start(USERS + EVENTS + ROWS.replace("INTO ev", "INTO ev (id, user_id, at)") + KEYS)
    cycle.ready()
    with closing(psycopg.connect(cycle.db.owner, autocommit=True)) as conn:
        conn.execute("ALTER TABLE ev DETACH PARTITION ev1")
        conn.execute("UPDATE ev1 SET editor_id = 3 WHERE id = 15")
        conn.execute("ALTER TABLE ev ATTACH PARTITION ev1 FOR VALUES FROM (0) TO (100)")
    assert without_fence(cycle.dump()) == without_fence(cycle.before_cutover)
    found = cycle.verify()
    assert [(f.table, f.columns) for f in found.findings] == [("public.ev1", ("editor_id", "editor_uuid_id"))]
    with pytest.raises(RefusedError, match="The last verification"):
        cycle.exchange("cutover")
    cycle.caught_up()
