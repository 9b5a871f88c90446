"""A source that is partitioned by another column than its key, or by the key's hash. The schemas: `tests/fixtures/partitioned_source*`."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from cutover.restore_capture import capture_faults, restore_capture
from swap.core.errors import LockError, RefusedError
from swap.plan.direction import Direction
from swap.state.migration import Migration
from swap.sync import follow_up
from tests.support.cycling import Cycle, Start, doctor, start
from tests.support.dump import without_fence
from tests.support.migration import install
from tests.support.mode import REQUESTED
from tests.support.servers import Database

__all__ = ["start"]

pytestmark = pytest.mark.skipif(REQUESTED == "logical", reason="a partitioned source is captured by triggers")

# Two levels, a default partition, one whose columns have other numbers, a reference with both columns, rebuilt beside, one to itself,
# and a foreign key of the table's own.
SCHEMA = """
CREATE TABLE kinds (kind text PRIMARY KEY);
INSERT INTO kinds VALUES ('a'), ('b');
CREATE TABLE users (
    id bigserial, at date NOT NULL DEFAULT '2026-01-05', kind text NOT NULL DEFAULT 'a' REFERENCES kinds, note text,
    parent_id bigint, parent_at date, PRIMARY KEY (id, at), FOREIGN KEY (parent_id, parent_at) REFERENCES users (id, at) ON UPDATE CASCADE
) PARTITION BY RANGE (at);
CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (at);
CREATE TABLE users_2_a PARTITION OF users_2 FOR VALUES FROM ('2026-02-01') TO ('2026-02-15');
CREATE TABLE users_2_rest PARTITION OF users_2 DEFAULT;
CREATE TABLE users_3 (gone int, id bigint NOT NULL DEFAULT nextval('users_id_seq'), at date NOT NULL DEFAULT '2026-01-05',
    kind text NOT NULL DEFAULT 'a', note text, parent_id bigint, parent_at date);
ALTER TABLE users_3 DROP COLUMN gone;
ALTER TABLE users ATTACH PARTITION users_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE INDEX ON users (kind, id);
INSERT INTO users (at, kind, note) SELECT date '2026-01-01' + n * 3, (ARRAY['a', 'b'])[1 + n % 2], n FROM generate_series(0, 28) n;
UPDATE users u SET (parent_id, parent_at) = (SELECT p.id, p.at FROM users p WHERE p.id = u.id - 1) WHERE id % 3 = 0;
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint NOT NULL, user_at date NOT NULL,
    FOREIGN KEY (user_id, user_at) REFERENCES users (id, at) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE INDEX ON posts (user_id);
INSERT INTO posts (user_id, user_at) SELECT id, at FROM users;
"""
WRITES = """
INSERT INTO users (note) VALUES ('new');
INSERT INTO users (at, kind, note) VALUES ('2026-02-03', 'b', 'new');
INSERT INTO posts (user_id, user_at) SELECT id, at FROM users WHERE note = 'new';
UPDATE users SET at = '2026-02-20', kind = 'a' WHERE note = 'new' AND at = '2026-01-05';
UPDATE users SET at = at + 1 WHERE note = '7';
DELETE FROM posts p USING users u WHERE (p.user_id, p.user_at) = (u.id, u.at) AND u.note = '4';
UPDATE users SET parent_id = NULL, parent_at = NULL WHERE parent_id IN (SELECT id FROM users WHERE note = '4');
DELETE FROM users_1 WHERE note = '4';
UPDATE users_2 SET note = note || '+' WHERE kind = 'b';
"""


def write(db: Database, statements: str) -> None:
    with closing(psycopg.connect(db.app)) as conn, conn.transaction():
        conn.execute(statements.encode())


def turned(cycle: Cycle, writes: str = WRITES) -> None:
    """Both directions, then the end; each time writes that move rows between partitions."""
    cycle.be_patient()
    cycle.m.prepare()
    write(cycle.db, writes)
    cycle.m.sync()
    write(cycle.db, writes)
    cycle.caught_up()
    cycle.before_cutover = cycle.dump()
    cycle.cutover()
    write(cycle.db, writes)
    cycle.caught_up()
    cycle.revert()
    write(cycle.db, writes)
    cycle.caught_up()
    cycle.exchange("cutover")
    cycle.caught_up()
    cycle.m.finalize(drop_legacy=True)
    write(cycle.db, writes)
    assert "legacy" not in cycle.dump()


@pytest.mark.slow
def test_two_levels_with_references(start: Start) -> None:
    cycle = start(SCHEMA)
    turned(cycle)
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        rows = conn.execute("SELECT count(*), count(DISTINCT id), count(DISTINCT tableoid) FROM users").fetchone()
    assert rows == (38, 38, 4)


HASHED = """
CREATE TABLE users (tenant_id int NOT NULL, id bigserial, note text, {key}) PARTITION BY HASH ({by});
CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON users (id);
CREATE INDEX ON users USING hash (note);
INSERT INTO users (tenant_id, note) SELECT n % 5, n FROM generate_series(1, 40) n;
CREATE TABLE posts (id bigserial PRIMARY KEY, tenant_id int NOT NULL, user_id bigint NOT NULL, FOREIGN KEY ({reference}) REFERENCES users ({refers}));
INSERT INTO posts (tenant_id, user_id) SELECT tenant_id, id FROM users WHERE note <> '9';
"""
OF_TENANTS = """
INSERT INTO users (tenant_id, note) VALUES (1, 'new'), (2, 'new');
INSERT INTO posts (tenant_id, user_id) SELECT tenant_id, id FROM users WHERE note = 'new';
UPDATE users SET note = note || '+' WHERE note IN ('3', '4');
UPDATE users SET tenant_id = tenant_id + 1 WHERE note = '9';
DELETE FROM posts p USING users u WHERE p.user_id = u.id AND u.note = '5';
DELETE FROM users_0 WHERE note = '5';
DELETE FROM users_1 WHERE note = '5';
"""


@pytest.mark.parametrize("by", [pytest.param("tenant_id", marks=pytest.mark.slow), "id"])
def test_hash(start: Start, by: str) -> None:
    """By the key's own hash a row lies where its uuid's hash puts it, and a foreign key may be over the key alone."""
    key, reference, refers = (
        ("PRIMARY KEY (id)", "user_id", "id")
        if by == "id"
        else ("PRIMARY KEY (tenant_id, id)", "tenant_id, user_id", "tenant_id, id")
    )
    cycle = start(HASHED.format(by=by, key=key, reference=reference, refers=refers))
    turned(cycle, OF_TENANTS)


@pytest.mark.slow
def test_list_with_a_reference_to_the_key_alone_declared(start: Start) -> None:
    ddl = HASHED.replace("HASH ({by})", "LIST (tenant_id)").partition("CREATE TABLE posts")[0]
    ddl = ddl.replace("WITH (MODULUS 2, REMAINDER 0)", "IN (0, 1, 2)").replace(
        "FOR VALUES WITH (MODULUS 2, REMAINDER 1)", "DEFAULT"
    )
    ddl = ddl.format(by="", key="PRIMARY KEY (tenant_id, id)")
    ddl += "CREATE TABLE posts (id bigserial PRIMARY KEY, tenant_id int, user_id bigint); INSERT INTO posts (tenant_id, user_id) SELECT tenant_id, id FROM users;"
    cycle = start(ddl, reference=[{"table": "public.posts", "column": "user_id"}])
    turned(cycle, OF_TENANTS)


def test_a_difference_in_a_partition_is_found(start: Start) -> None:
    """In each method: rows that replay did not make, in partitions of either level. `--repair` makes them right."""
    cycle = start(SCHEMA)
    cycle.ready()
    with closing(psycopg.connect(cycle.db.owner)) as conn, conn.transaction():
        conn.execute("UPDATE users_1_new SET note = 'planted' WHERE id = 2")
        conn.execute("DELETE FROM users_3_new WHERE id = 25")
        conn.execute("INSERT INTO users_2_rest_new (id, uuid_id, at, kind) VALUES (77, gen_random_uuid(), '2026-02-22', 'b')")
    assert cycle.m.direction is Direction.FORWARD
    found = {(d.key, d.kind) for d in cycle.verify().findings if d.table == "public.users"}
    assert found == {(2, "different"), (25, "missing"), (77, "extra")}
    assert cycle.m.differences() == [2, 25, 77]


def test_capture_that_is_taken_from_a_partition_is_put_back(start: Start) -> None:
    """The rows that were written to it meanwhile are found and queued."""
    cycle = start(SCHEMA)
    cycle.ready()
    owner(cycle.db, "DROP TRIGGER swap_truncate ON users_3; ALTER TABLE users_1 DISABLE TRIGGER swap_capture")
    write(cycle.db, "UPDATE users SET note = 'missed' WHERE at < '2026-01-20'")
    faults = capture_faults(cycle.m)
    assert faults is not None
    assert "users_1: trigger swap_capture is not ENABLE ALWAYS" in faults
    assert "users_3: trigger swap_truncate is missing" in faults
    restore_capture(cycle.m)
    cycle.m.reload()
    assert capture_faults(cycle.m) is None
    cycle.caught_up()


def test_truncate_of_a_partition(start: Start) -> None:
    cycle = start(
        SCHEMA.partition("CREATE TABLE posts")[0].replace(
            ", FOREIGN KEY (parent_id, parent_at) REFERENCES users (id, at) ON UPDATE CASCADE", ""
        )
    )
    cycle.ready()
    write(cycle.db, "TRUNCATE users_1; INSERT INTO users (note) VALUES ('after')")
    cycle.caught_up()
    cycle.cutover()
    write(cycle.db, "TRUNCATE users_2")
    cycle.caught_up()
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        assert conn.execute("SELECT count(*) FROM users_old").fetchone() == conn.execute("SELECT count(*) FROM users").fetchone()


SMALL = HASHED.partition("CREATE TABLE posts")[0].format(by="tenant_id", key="PRIMARY KEY (tenant_id, id)")


def test_statements_that_name_a_partition_go_on_after_a_failed_attempt(start: Start) -> None:
    """The fence of the partitions stands before the first exchange: until that commits it lets everything pass."""
    cycle = start(SMALL)
    cycle.ready()
    once = cycle.m.config.cutover.model_copy(update={"max_attempts": 1})
    cycle.m.config = cycle.m.config.model_copy(update={"cutover": once})
    with closing(psycopg.connect(cycle.db.app)) as reader:
        reader.execute("SELECT FROM users")
        with pytest.raises(LockError):
            cycle.exchange("cutover")
    write(cycle.db, "UPDATE users_0 SET note = note || '+'; DELETE FROM users_1 WHERE note = '4'")
    cycle.be_patient()
    cycle.caught_up()
    cycle.cutover()


def index_names(db: Database) -> set[str]:
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('users_0'::regclass, 'users_1'::regclass)"
    with closing(psycopg.connect(db.owner)) as conn:
        return {name for (name,) in conn.execute(query)}


def test_a_follow_up_that_was_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partitions' indexes have the names of the other side, and nothing is recorded of the partitions. The next command goes on, a
    revert too; and what a partition was given meanwhile is refused."""
    cycle = start(SMALL)
    cycle.be_patient()
    cycle.ready()
    named = index_names(cycle.db)

    def killed(_: Migration) -> None:
        raise LockError("killed")

    for kind in ("cutover", "revert"):
        with monkeypatch.context() as patch:
            patch.setattr(follow_up, "follow_index_names", killed)
            cycle.exchange(kind)
            assert named.isdisjoint(index_names(cycle.db) - {"users_0_legacy_id_idx", "users_1_legacy_id_idx"})
            report = cycle.verify()
            assert {c.name for c in report.checks if c.status == "failed"} == {"coverage"}  # the follow-up is not finished
        owner(cycle.db, "ALTER TABLE users_0 ADD CONSTRAINT meanwhile CHECK (tenant_id < 100)")
        with pytest.raises(RefusedError, match="it has the check on users_0 meanwhile"):
            cycle.m.sync()
        owner(cycle.db, "ALTER TABLE users_0 DROP CONSTRAINT meanwhile")
        cycle.caught_up()
        assert named <= index_names(cycle.db)
    assert without_fence(cycle.dump()) == without_fence(cycle.before_cutover)


def test_a_key_that_is_there_twice(database: Database) -> None:
    install(database, SCHEMA + "INSERT INTO users (id, at) VALUES (5, '2026-02-02');")
    assert [f.detail for f in doctor(database) if f.name == "key" and f.status == "blocker"] == ["is in several rows: 5 (2 rows)"]


def owner(db: Database, statements: str) -> None:
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        conn.execute(statements.encode())


@pytest.mark.slow
def test_partitions_that_come_and_go(start: Start) -> None:
    """Refused by name, with the statement that goes back, before the cutover and after it. Then the run goes on."""
    cycle = start(SCHEMA)
    cycle.be_patient()
    cycle.ready()
    for kind in ("cutover", "revert"):
        owner(cycle.db, "CREATE TABLE users_4 PARTITION OF users FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')")
        with pytest.raises(RefusedError, match=r"users_4 came as a partition") as refused:
            cycle.exchange(kind)
        write(cycle.db, "INSERT INTO users (at, note) VALUES ('2026-04-05', 'new')")
        with pytest.raises(RefusedError, match=r"users_4 came as a partition"):
            cycle.m.sync()
        assert cycle.verify().verdict == "different"
        owner(cycle.db, refused.value.hint.partition(";")[0])
        owner(cycle.db, "DROP TABLE users_4")
        cycle.caught_up()
        cycle.exchange(kind)
        cycle.caught_up()
    owner(
        cycle.db,
        "DELETE FROM posts; UPDATE users SET parent_id = NULL, parent_at = NULL; ALTER TABLE users DETACH PARTITION users_1",
    )
    with pytest.raises(RefusedError, match=r"users_1 is no partition of public.users any more"):
        cycle.exchange("cutover")
    owner(cycle.db, "ALTER TABLE users ATTACH PARTITION users_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    assert cycle.verify().verdict == "different"  # what was written to it meanwhile is not known
    cycle.m.abort()
    assert "TRIGGER" not in cycle.dump()
