"""Partitions that come and go while a run exists (H38): they are followed, in every phase, and an exchange goes both ways with them."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

import cutover.run
from swap.core.errors import RefusedError
from swap.sync.backfill import Backfill
from swap.sync.loop import Sync
from tests.ddl.test_partitioned import EVENTS, PAIRS, ROWS, USERS
from tests.support.cycling import Cycle, Start, start
from tests.support.migration import background
from tests.support.servers import Database
from verify.reference_rows import ReferenceRowComparison

__all__ = ["start"]

# A key and a unique constraint that contain the reference, two levels, and a key of one partition alone.
VISITS = """
CREATE TABLE visits (
    user_id bigint REFERENCES users ON DELETE CASCADE, at int, guest_id bigint, n int,
    CONSTRAINT visits_pk PRIMARY KEY (user_id, at), UNIQUE (at, guest_id)
) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (100) TO (200) PARTITION BY LIST (at);
CREATE TABLE visits_2a PARTITION OF visits_2 DEFAULT;
ALTER TABLE visits_1 ADD CONSTRAINT visits_guest FOREIGN KEY (guest_id) REFERENCES users;
CREATE INDEX visits_n ON visits (n, user_id);
INSERT INTO visits SELECT 1 + n % 20, n, 1 + n % 7, n FROM generate_series(0, 199) n;
"""
COMES = """
CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (200) TO (300) PARTITION BY HASH (id);
CREATE TABLE ev3a PARTITION OF ev3 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM (200) TO (300) PARTITION BY LIST (at);
CREATE TABLE visits_3a PARTITION OF visits_3 DEFAULT;
ALTER TABLE visits_3 ADD CONSTRAINT visits_guest FOREIGN KEY (guest_id) REFERENCES users ON DELETE SET NULL;
"""
# As pg_partman does: a table made like the parent, filled, and attached.
ATTACHED = """
CREATE TABLE {name} (LIKE ev INCLUDING ALL);
INSERT INTO {name} (id, user_id, at) SELECT {low} + n, u.{key}, {low} FROM users u, generate_series(1, 30) n WHERE u.{integer} = 1 + n % 10;
ALTER TABLE ev ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high});
"""


def run(db: Database, statements: str) -> None:
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        conn.execute(statements.encode())


def wrong_of(db: Database, table: str, ahead: bool) -> int:
    names = ("id", "user_id", "uuid_id", "user_uuid_id") if ahead else ("id", "user_id", "legacy_id", "user_legacy_id")
    with closing(psycopg.connect(db.superuser)) as conn:
        count = conn.execute(PAIRS.replace(" ev e", f" {table} e").format(*names).encode()).fetchone()
        assert count is not None
        return int(count[0])


def wrong(db: Database, ahead: bool) -> int:
    return sum(wrong_of(db, t, ahead) for t in ("ev", "visits"))


def write(db: Database, at: int) -> None:
    """Rows of the partitions that hold `at`, of either kind of key."""
    run(db, f"INSERT INTO ev (id, user_id, at) SELECT 9000 + {at}, id, {at} FROM users ORDER BY 2 LIMIT 1")
    run(db, f"INSERT INTO visits (user_id, at, guest_id) SELECT id, {at}, id FROM users ORDER BY 1 LIMIT 1")


def gone(cycle: Cycle, table: str) -> bool:
    return all(table not in (p.name.name for p in t.partitions) for t in cycle.m.plan.catalog.tables)


@pytest.mark.parametrize("when", ["prepared", "synced"])
def test_partitions_that_come_and_go_before_the_cutover(start: Start, when: str) -> None:
    """Whole trees, attached tables with rows that no guard saw, dropped and detached ones. Then the cycle goes both ways."""
    cycle = start(USERS + EVENTS + ROWS + VISITS)
    cycle.be_patient()
    cycle.m.prepare()
    if when == "synced":
        cycle.m.sync()
        cycle.verified()
    run(cycle.db, COMES + ATTACHED.format(name="ev4", low=400, high=500, key="id", integer="id"))
    run(cycle.db, "DROP TABLE ev1; DROP TABLE visits_1; ALTER TABLE visits DETACH PARTITION visits_2")
    write(cycle.db, 201)
    with pytest.raises(RefusedError, match="visits_2 is no partition") as refused:
        cycle.m.sync()
    assert refused.value.hint == "ALTER TABLE public.visits_2 DROP CONSTRAINT visits_user_id_fkey;"
    run(cycle.db, refused.value.hint)
    cycle.m.sync()
    assert gone(cycle, "ev1")
    assert gone(cycle, "visits_2a")
    assert wrong(cycle.db, True) == 0
    cycle.verified()
    cycle.before_cutover = cycle.dump()
    cycle.cutover()
    write(cycle.db, 202)
    cycle.revert()
    cycle.exchange("cutover")
    cycle.caught_up()
    assert wrong(cycle.db, False) == 0


def test_partitions_that_come_and_go_after_the_cutover(start: Start) -> None:
    """A revert brings back the old keys and names in the new partitions too."""
    cycle = start(USERS + EVENTS + ROWS + VISITS)
    cycle.be_patient()
    cycle.ready()
    cycle.cutover()
    run(cycle.db, COMES + ATTACHED.format(name="ev4", low=400, high=500, key="id", integer="legacy_id"))
    run(cycle.db, "DROP TABLE ev1; DROP TABLE visits_1")
    write(cycle.db, 201)
    cycle.caught_up()
    assert wrong(cycle.db, False) == 0
    cycle.exchange("revert")
    assert wrong(cycle.db, True) == 0
    keys = {(f[0], f[1], f[3].partition(" ON ")[0]) for f in cycle.foreign_keys() if f[0] in ("visits_3", "ev3a", "ev4")}
    assert keys == {
        ("visits_3", "visits_guest", "FOREIGN KEY (guest_id) REFERENCES users(id)"),
        ("visits_3", "visits_user_id_fkey", "FOREIGN KEY (user_id) REFERENCES users(id)"),
        ("ev3a", "ev_user", "FOREIGN KEY (user_id) REFERENCES users(id)"),
        ("ev4", "ev_user", "FOREIGN KEY (user_id) REFERENCES users(id)"),
    }
    write(cycle.db, 203)
    cycle.caught_up()
    run(cycle.db, "CREATE TABLE ev5 PARTITION OF ev FOR VALUES FROM (500) TO (600)")
    cycle.caught_up()
    cycle.exchange("cutover")
    cycle.caught_up()
    assert wrong(cycle.db, False) == 0
    cycle.m.finalize(drop_legacy=True)
    with closing(psycopg.connect(cycle.db.superuser)) as conn:
        left = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT count(*) FROM pg_attribute WHERE attname ~ 'legacy'"
        assert conn.execute(left.encode()).fetchall() == [(0,), (0,)]


def test_detached_in_every_phase(start: Start) -> None:
    """As pg_partman's retention does it, CONCURRENTLY or not: what is detached keeps both columns and its key to the source, and a hint
    says what to do about the key."""
    more = [f"CREATE TABLE ev{n} PARTITION OF ev FOR VALUES FROM ({n}00) TO ({n}99);" for n in range(3, 7)]
    rows = "INSERT INTO ev SELECT 1000 * n + i, i, n * 100 + i FROM generate_series(3, 6) n, generate_series(1, 9) i;"
    cycle = start(USERS + EVENTS + "".join(more) + ROWS + rows)
    cycle.be_patient()

    def detach(partition: str, how: str, *, ahead: bool, filled: bool = True) -> None:
        run(cycle.db, f"ALTER TABLE ev DETACH PARTITION {partition} {how}")
        with pytest.raises(RefusedError, match=f"{partition} is no partition") as refused:
            cycle.m.sync()
        assert refused.value.hint == f"ALTER TABLE public.{partition} DROP CONSTRAINT ev_user;"
        run(cycle.db, refused.value.hint)
        cycle.caught_up()
        assert gone(cycle, partition)
        assert not filled or wrong_of(cycle.db, partition, ahead) == 0
        run(cycle.db, f"UPDATE {partition} SET user_id = (SELECT id FROM users LIMIT 1)")  # it goes on as a table of its own

    cycle.m.prepare()
    detach("ev1", "CONCURRENTLY", ahead=True, filled=False)
    detach("ev3", "", ahead=True)
    cycle.cutover()
    detach("ev4", "CONCURRENTLY", ahead=False)
    cycle.exchange("revert")
    cycle.caught_up()
    detach("ev5", "CONCURRENTLY", ahead=True)
    cycle.cutover()
    detach("ev6", "", ahead=False)
    assert wrong_of(cycle.db, "ev", False) == 0
    cycle.m.finalize(drop_legacy=True)


def test_a_partition_between_the_exchange_and_its_follow_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has no key then, and each partition its part of it: the new one gets its part too, and the table takes it over."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.be_patient()
    cycle.ready()
    monkeypatch.setattr(cutover.run, "finish_exchange", lambda *args, **kwargs: None)
    cycle.exchange("cutover")
    monkeypatch.undo()
    run(cycle.db, "CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (200) TO (300)")
    cycle.caught_up()
    assert ("ev3", "ev_user", True) in [(f[0], f[1], f[4]) for f in cycle.foreign_keys()]
    cycle.exchange("revert")
    cycle.caught_up()


OWN = (
    "ALTER TABLE ev3 ADD CONSTRAINT mine CHECK (user_id > 0)",
    "CREATE INDEX mine ON ev3 (user_id)",
    "CREATE VIEW mine AS SELECT user_uuid_id FROM ev3",
)


def test_what_a_new_partition_has_of_its_own_is_refused(start: Start) -> None:
    """I10. Without it the run goes on; `abort` works when another partition has gone."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.be_patient()
    cycle.m.synced()
    for ddl in OWN:
        run(cycle.db, f"CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (200) TO (300); {ddl}")
        with pytest.raises(RefusedError, match=r"public\.ev3 came since .*mine"):
            cycle.m.sync()
        run(cycle.db, "DROP TABLE ev3 CASCADE")
    cycle.m.sync()
    cycle.verified()
    run(cycle.db, "DROP TABLE ev1")
    cycle.m.abort()


def test_a_partition_that_was_detached_and_came_back(start: Start) -> None:
    """No guard watched its rows: what was written meanwhile is found and made right, in either direction."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.be_patient()
    cycle.ready()
    away = "ALTER TABLE ev DETACH PARTITION ev1; {} ALTER TABLE ev ATTACH PARTITION ev1 FOR VALUES FROM (0) TO (100)"
    run(cycle.db, away.format("UPDATE ev1 SET user_id = 1 + user_id % 20 WHERE id < 50;"))
    with pytest.raises(RefusedError, match="verification"):
        cycle.exchange("cutover")
    cycle.caught_up()
    assert wrong_of(cycle.db, "ev", True) == 0
    cycle.cutover()
    run(cycle.db, away.format("UPDATE ev1 SET user_id = (SELECT id FROM users LIMIT 1) WHERE id < 50;"))
    cycle.caught_up()
    assert wrong_of(cycle.db, "ev", False) == 0
    cycle.exchange("revert")


def test_a_partition_that_was_away_between_two_ranges(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """H59: given a partition that was detached, written to and attached while the column is filled: its rows are made right. One that
    is away while a verification reads its table, in whatever snapshot: then the verification did not finish."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.m.prepare()
    away = "ALTER TABLE ev DETACH PARTITION ev1; {} ALTER TABLE ev ATTACH PARTITION ev1 FOR VALUES FROM (0) TO (100)"
    original, done = Backfill._range, list[str]()

    def ranged(self: Backfill, *args: Any) -> bool:
        held = original(self, *args)
        if self.part.startswith("public.ev1.") and not done:
            done.append(self.part)
            run(cycle.db, away.format("UPDATE ev1 SET user_id = 1 + user_id % 20 WHERE id < 50;"))
        return held

    monkeypatch.setattr(Backfill, "_range", ranged)
    cycle.caught_up()
    assert done
    assert wrong_of(cycle.db, "ev", True) == 0
    assert cycle.verify().verdict == "identical"

    compare = ReferenceRowComparison.run

    def beside(self: ReferenceRowComparison) -> None:
        run(cycle.db, away.format("").partition(";")[0])
        compare(self)
        run(cycle.db, away.format("").partition(";")[2])

    monkeypatch.setattr(ReferenceRowComparison, "run", beside)
    report = cycle.verify()
    assert (report.verdict, "ev1 was detached and attached" in report.checks[0].detail) == ("incomplete", True), report.checks[0]


def test_a_running_sync_follows(start: Start) -> None:
    """Without another command, and without a write."""
    cycle = start(USERS + EVENTS + ROWS)
    cycle.be_patient()
    cycle.ready()
    stop = threading.Event()
    own = cycle.m.on(cycle.m.database.connect("sync"))
    sync = Sync(replace(own, stop=stop), jobs=1, once=False)
    with closing(own.conn), background(sync.run, stop.set) as done:
        run(cycle.db, "CREATE TABLE ev3 PARTITION OF ev FOR VALUES FROM (200) TO (300)")
        while gone(cycle, "ev3"):
            assert not done.done(), done.exception()
            cycle.m.reload()
        stop.set()
        done.result()
