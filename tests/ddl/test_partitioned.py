"""Partitioned tables with a reference (H23): writes through the table and its partitions (I1), partitions that are added meanwhile, the
foreign key between an exchange and its follow-up, and what is refused by name (I10).

The whole cycle, with the schema's text at each turn: `tests/fixtures/reference_partitioned`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

import cutover.run
from swap.core.connection import Database as Conninfo
from swap.doctor.trial import partitions as trial_partitions
from swap.doctor.trial.build import run_trial
from tests.support.cycling import Start, doctor, start
from tests.support.migration import install
from tests.support.servers import Connect, Database

pytestmark = pytest.mark.sampled(2)

__all__ = ["start"]

USERS = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid());
INSERT INTO users (email) SELECT n FROM generate_series(1, 20) n;
"""
EVENTS = """
CREATE TABLE ev (id bigint, user_id bigint NOT NULL, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (100) TO (200) PARTITION BY HASH (id);
CREATE TABLE ev2a PARTITION OF ev2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE ev2b PARTITION OF ev2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE ev ADD CONSTRAINT ev_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
CREATE INDEX ON ev (user_id);
"""
ROWS = "INSERT INTO ev SELECT n, 1 + n % 20, n % 200 FROM generate_series(1, 400) n;"
LEAVES = ("ev1", "ev2a", "ev2b")
# Each kind of write through each table, under any name of the session: rows that stay, and rows that move to another partition.
WRITES = {
    "table": "INSERT INTO ev VALUES (1001, 3, 5), (1002, 4, 150)",
    "partition": "INSERT INTO ev1 VALUES (1003, 5, 6)",
    "partition-of-partition": "INSERT INTO ev2 VALUES (1004, 6, 151), (1005, 6, 151)",
    "update": "UPDATE ev SET user_id = 7 WHERE id IN (10, 110, 111)",
    "update-of-partition": "UPDATE ev1 SET user_id = 8 WHERE id IN (20, 21)",
    "moved": "UPDATE ev SET at = 120, user_id = 9 WHERE id IN (30, 31)",
    "upsert": "INSERT INTO ev VALUES (40, 1, 40) ON CONFLICT (id, at) DO UPDATE SET user_id = 11",
    "replica": "SET LOCAL session_replication_role = replica; UPDATE ev SET user_id = 12 WHERE id IN (50, 150, 151)",
    "parent": "DELETE FROM users WHERE id = 15",
}
PAIRS = "SELECT count(*) FROM ev e LEFT JOIN users u ON u.{0} = e.{1} WHERE u.{2} IS DISTINCT FROM e.{3}"


def wrong(db: Database, *columns: str) -> int:
    with closing(psycopg.connect(db.superuser)) as conn:
        row = conn.execute(PAIRS.format(*columns).encode()).fetchone()
        assert row is not None
        return int(row[0])


def write_all(db: Database) -> None:
    with closing(psycopg.connect(db.superuser)) as conn:
        for statement in WRITES.values():
            with conn.transaction():
                conn.execute(statement.encode())


@pytest.mark.parametrize("when", ["prepared", "synced"])
def test_writes_through_the_table_and_its_partitions(start: Start, when: str) -> None:
    """I1, H23: no write fails, through any partition, and each pair is complete when its transaction commits."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.m.prepare()
    if when == "synced":
        cycle.m.sync()
    write_all(cycle.db)
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        incomplete = "SELECT id, user_id FROM ev WHERE (id > 1000 OR id = ANY (%s)) AND user_uuid_id IS NULL"
        assert conn.execute(incomplete, [[10, 110, 111, 20, 21, 30, 31, 40, 50, 150, 151]]).fetchall() == []
    cycle.m.sync()
    assert wrong(cycle.db, "id", "user_id", "uuid_id", "user_uuid_id") == 0
    cycle.verified()
    assert {t.name for t in cycle.verify().tables if t.name.startswith("public.ev")} == {f"public.{x}" for x in LEAVES}
    cycle.before_cutover = cycle.dump()
    cycle.cutover()
    with closing(psycopg.connect(cycle.db.superuser)) as conn, conn.transaction():
        conn.execute("INSERT INTO ev2 (id, user_id, at) SELECT 2000 + legacy_id, id, 160 FROM users WHERE legacy_id < 4")
        conn.execute("UPDATE ev1 SET user_id = (SELECT id FROM users WHERE legacy_id = 18) WHERE id = 60")
        conn.execute("UPDATE ev SET at = at + 100 WHERE id IN (70, 71)")
    assert wrong(cycle.db, "id", "user_id", "legacy_id", "user_legacy_id") == 0
    cycle.caught_up()
    cycle.revert()
    assert cycle.foreign_keys() == cycle.flags
    cycle.abort()


def test_every_partition_is_guarded_between_the_exchange_and_its_follow_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """H23, I6: then the partitioned table has no key, but each partition has its part of it, for new rows. Afterwards it is one key
    again, with the flags of before."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.ready()
    monkeypatch.setattr(cutover.run, "finish_exchange", lambda *args, **kwargs: None)
    cycle.exchange("cutover")
    monkeypatch.undo()
    found = [f for f in cycle.foreign_keys() if f[1] == "ev_user"]
    assert [(f[0], f[4]) for f in found] == [(leaf, False) for leaf in LEAVES]
    with closing(psycopg.connect(cycle.db.superuser, autocommit=True)) as conn:
        for table, at in (("ev", 5), ("ev1", 6), ("ev2", 150), ("ev2a", 151), ("ev2b", 152)):
            # A partition by hash takes only its own rows; the other half is refused, as it was before.
            part = "ab".index(table[-1]) if table[-1] in "ab" else None
            insert = sql.SQL(
                "INSERT INTO {} (id, user_id, at) SELECT n, gen_random_uuid(), %(at)s FROM generate_series(3000, 3050) n"
                " WHERE %(part)s::int IS NULL OR satisfies_hash_partition('ev2'::regclass, 2, %(part)s, n::bigint) LIMIT 1"
            ).format(sql.Identifier(table))
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                conn.execute(insert, {"at": at, "part": part})
        conn.execute("DELETE FROM users WHERE legacy_id = 16")
    cycle.caught_up()
    assert sorted((f[0], f[4]) for f in cycle.foreign_keys() if f[1] == "ev_user") == [
        (table, True) for table in ("ev", "ev1", "ev2", "ev2a", "ev2b")
    ]
    cycle.before_cutover = ""
    cycle.exchange("revert")
    assert cycle.foreign_keys() == cycle.flags


def test_a_wrong_pair_is_found_in_its_partition(start: Start) -> None:
    """I7: by the partition's name and the row's key. Rows of two partitions can have the same position."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.ready()
    with closing(psycopg.connect(cycle.db.superuser)) as conn, conn.transaction():
        conn.execute(
            "ALTER TABLE ev DISABLE TRIGGER USER; UPDATE ev SET user_uuid_id = gen_random_uuid() WHERE id BETWEEN 95 AND 115"
        )
        moved = conn.execute("SELECT tableoid::regclass::text, id || ',' || at FROM ev WHERE id BETWEEN 95 AND 115").fetchall()
        assert {m[0] for m in moved} == set(LEAVES)
    found = cycle.verify()
    assert found.verdict == "different"
    assert sorted((f.table.removeprefix("public."), str(f.key)) for f in found.findings) == sorted(moved)


def test_a_disabled_guard_of_one_partition(start: Start) -> None:
    """I7: rows that go through that partition are not guarded."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.ready()
    with closing(psycopg.connect(cycle.db.owner, autocommit=True)) as conn:
        conn.execute('ALTER TABLE ev2b DISABLE TRIGGER "~swap_guard_1_insert"')
    failed = {c.name: c.detail for c in cycle.verify().checks if c.status == "failed"}
    assert "ev2b: trigger ~swap_guard_1_insert is not ENABLE ALWAYS" in failed["capture_installed"]


def test_the_trial_leaves_partitions_alone(start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2: the trial builds on copies of the partitions, of some of them where there are many. A writer's open transaction shows that."""
    cycle = start(USERS + EVENTS + ROWS)
    writer = connect(cycle.db.app)
    writer.execute("INSERT INTO ev VALUES (5000, 1, 1), (5001, 1, 150), (5002, 1, 150)")
    built = []
    for leaves in (40, 2):
        monkeypatch.setattr(trial_partitions, "LEAVES", leaves)
        trial = run_trial(cycle.m.conn, cycle.m.plan)
        assert (trial.findings, trial.left_out) == ([], [])
        built.append(trial.built)
    assert built[0] > built[1]
    writer.rollback()


def test_the_trial_builds_what_partitions_have(start: Start) -> None:
    """H25: each index and foreign key, on its own partition. One that cannot be built is named with it."""
    cycle = start(USERS + EVENTS + ROWS)
    plan = cycle.m.plan
    (ref,) = plan.references
    parts = tuple(replace(i, definition="USING btree (nothing)") if i.table.name == "ev2b" else i for i in ref.parts)
    key = next(fk for fk in plan.catalog.foreign_keys if fk.name == "ev_user")
    mine = replace(
        key,
        table=key.parts[0][0],
        root=key.table,
        parts=(),
        name="mine",
        definition="FOREIGN KEY (user_id) REFERENCES public.gone",
    )
    catalog = replace(plan.catalog, foreign_keys=(*plan.catalog.foreign_keys, mine))
    trial = run_trial(cycle.m.conn, replace(plan, catalog=catalog, references=(replace(ref, parts=parts),)))
    assert {f.object for f in trial.findings} == {"public.ev1.mine", "public.ev2b.ev2b_user_id_idx_new"}


MINE = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER mine BEFORE INSERT ON ev1 FOR EACH ROW EXECUTE FUNCTION f()
"""
BELOW = "CREATE TABLE ev5 PARTITION OF ev FOR VALUES FROM (500) TO (600) PARTITION BY LIST (user_id)"
SOME = "ALTER TABLE ev DROP CONSTRAINT ev_user; ALTER TABLE ev1 ADD FOREIGN KEY (user_id) REFERENCES users"
TWICE = "ALTER TABLE ev2 ADD CONSTRAINT mine FOREIGN KEY (user_id) REFERENCES users"
LATER = "ALTER TABLE ev ADD user_uuid_id uuid; ALTER TABLE ev1 ADD CONSTRAINT mine FOREIGN KEY (user_uuid_id) REFERENCES users (uuid_id)"
EMPTY = "CREATE TABLE ev5 PARTITION OF ev FOR VALUES FROM (500) TO (600) PARTITION BY LIST (at)"
REFUSALS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "trigger": (MINE, "ev1", "mine", {}),
    "exclusion": ("ALTER TABLE ev2a ADD CONSTRAINT mine EXCLUDE (user_id WITH =, id WITH =)", "ev2a", "constraint mine", {}),
    "check": ("ALTER TABLE ev1 ADD CONSTRAINT mine CHECK (user_id > 0)", "ev1", "constraint mine", {}),
    "view": ("CREATE VIEW mine AS SELECT user_id FROM ev2b", "ev2b", "view public.mine", {}),
    "row-type": ("CREATE TABLE mine (x ev1)", "ev1", "column x of table public.mine", {}),
    "comment": ("COMMENT ON COLUMN ev1.user_id IS 'mine'", "ev1", "comment", {}),
    "unlogged": ("ALTER TABLE ev1 SET UNLOGGED", "ev1", "not logged", {}),
    "options": ("ALTER TABLE ev ADD CONSTRAINT mine UNIQUE (user_id, id, at) WITH (fillfactor = 70)", "mine", "options", {}),
    "primary-key-below": ("ALTER TABLE ev1 ADD CONSTRAINT mine PRIMARY KEY (user_id, id)", "ev1", "constraint mine", {}),
    "statistics": ("CREATE STATISTICS mine ON user_id, id FROM ev", "mine", "not carried over", {}),
    "key-below": (BELOW, "ev5", "partition key", {}),
    "adopted": (
        "ALTER TABLE ev ADD user_uuid_id uuid; CREATE VIEW mine AS SELECT user_uuid_id FROM ev1",
        "ev1",
        "view public.mine",
        {},
    ),
    "foreign-key-twice": (TWICE, "ev2.mine", "ev.ev_user says of the whole", {}),
    "foreign-key-twice-then": (LATER, "ev1.mine", "ev.ev_user says of the whole", {}),
    "foreign-key-of-none": (f"{EMPTY}; {TWICE.replace('ev2', 'ev5')}", "ev5.mine", "has no partition", {}),
    "foreign-key-on-some": (SOME, "ev.user_id", "every row of public.ev2a, public.ev2b:", {}),
    "foreign-key-elsewhere": (
        "ALTER TABLE ev1 ADD CONSTRAINT mine FOREIGN KEY (user_id) REFERENCES other",
        "ev1",
        "constraint mine",
        {},
    ),
    "declared": ("SELECT 1", "ev1", "partition", {"reference": [{"table": "public.ev1", "column": "user_id"}]}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_a_partition_has_of_its_own_is_refused(database: Database, case: str) -> None:
    """I10: by name, before anything is built."""
    ddl, name, said, config = REFUSALS[case]
    setup = EVENTS.replace(", PRIMARY KEY (id, at)", "") if case in ("key-below", "primary-key-below") else EVENTS
    other = "CREATE TABLE other (id bigint PRIMARY KEY);" if "elsewhere" in case else ""
    install(database, USERS + other + setup + ddl)
    found = [f for f in doctor(database, **config) if f.status == "blocker" and f.object == f"public.{name}"]
    assert any(said in f.detail and f.hint for f in found), found


def test_a_partition_that_is_published_by_itself(database: Database) -> None:
    """I10, H17: its subscribers get uuids too. A publication of the whole table is named once, for the table."""
    install(database, USERS + EVENTS)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        conn.execute("CREATE PUBLICATION mine FOR TABLE ev2a")
        conn.execute("CREATE PUBLICATION whole FOR TABLE ev, ev1 WITH (publish_via_partition_root)")
    found = {f.object: f.acceptable for f in doctor(database) if f.name == "publication"}
    assert found == {"mine of public.ev2a": True, "whole of public.ev": True}


def test_a_declared_reference(start: Start) -> None:
    """A reference without a foreign key, which only the configuration names."""
    ddl = EVENTS.replace("ALTER TABLE ev ADD CONSTRAINT ev_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;", "")
    cycle = start(
        USERS + ddl.replace("user_id bigint NOT NULL", "user_id bigint") + ROWS,
        reference=[{"table": "public.ev", "column": "user_id"}],
    )
    cycle.ready()
    cycle.cutover()
    assert wrong(cycle.db, "id", "user_id", "legacy_id", "user_legacy_id") == 0
    cycle.revert()
    cycle.abort()


def test_locks_of_the_key_that_joins_its_parts(start: Start) -> None:
    """I2: the lock is taken at once in the mode that the statement needs, with lock retries."""
    cycle = start(USERS + EVENTS + ROWS)
    with closing(Conninfo.from_options(cycle.db.owner, "locks").connect()) as conn, conn.transaction():
        conn.execute("ALTER TABLE public.ev DROP CONSTRAINT ev_user")
        for leaf in LEAVES:
            add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT ev_user FOREIGN KEY (user_id) REFERENCES public.users")
            conn.execute(add.format(sql.Identifier("public", leaf)))
    with closing(Conninfo.from_options(cycle.db.owner, "locks").connect()) as conn, conn.transaction():
        conn.execute("ALTER TABLE public.ev ADD CONSTRAINT ev_user FOREIGN KEY (user_id) REFERENCES public.users")
        modes = conn.execute(
            "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.pid = pg_backend_pid() AND c.relname = 'users'"
        ).fetchall()
    assert ("users", "AccessExclusiveLock") in modes
