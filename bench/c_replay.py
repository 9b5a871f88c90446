"""(c) Replay against PostgreSQL's own apply worker, for the same single-row updates in transactions of 100.

Two databases of one server hold the same table. In one, keys are captured and replayed into the shadow. The other one is published
to a third, whose table has the same indexes. Its subscription is enabled when the backlog is complete, and timed from the start of its
worker to the commit of the last change. Every key is updated once, so one key of replay is one change of the apply worker. Nothing
else runs while a backlog is made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import USERS, CommandFailedError, Example, Setting, quiesce
from swap.sync.replay import replay

NAME = "bench"  # of publication, slot and subscription
PER_TRANSACTION = 100
LIMIT_S = 600.0
POLL_S = 0.01
# A permutation of the keys: so a batch does not read the table in its physical order.
BACKLOG = """
DO $$
DECLARE k bigint; n bigint := 0;
BEGIN
    FOR k IN SELECT id FROM public.users WHERE id > 0 ORDER BY hashint8extended(id, {seed}) LIMIT {count} LOOP
        UPDATE public.users SET login_count = login_count + 1 WHERE id = k;
        n := n + 1;
        IF n % {per} = 0 THEN COMMIT; END IF;
    END LOOP;
END $$
"""


@dataclass(frozen=True)
class Rate:
    """Keys or changes per second, and the processor time of each."""

    per_second: float
    microseconds: float


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    keys = 3 * setting.users // 10
    ours: list[Rate] = []
    theirs: list[Rate] = []
    with ExitStack() as stack:
        captured = stack.enter_context(setting.example("c_captured", setting.users, references=False))
        published, subscribed = stack.enter_context(subscribed_pair(setting, "c"))
        captured.swap("prepare")
        captured.swap("sync", "--once")
        for n in range(-1, repetitions):  # the first, small one warms up and is not counted
            count = keys if n >= 0 else keys // 10
            for swap_first in (True, False) if n % 2 == 0 else (False, True):
                if swap_first:
                    rate, rates = _replay(captured, count, n), ours
                else:
                    rate, rates = apply_worker(published, subscribed, count, n), theirs
                if n >= 0:
                    rates.append(rate)
            setting.say(f"  repetition {n + 1} of {repetitions}")
    a, b = [r.per_second for r in ours], [r.per_second for r in theirs]
    cost = [r.microseconds for r in ours], [r.microseconds for r in theirs]
    raw = (
        f"replay {series(a, ' keys/s', 0)}, apply worker {series(b, ' changes/s', 0)};"
        f" processor time {series(cost[0], ' µs a key', 1)} / {series(cost[1], ' µs a change', 1)}"
    )
    what = f"replay / PostgreSQL's apply worker, {keys:,} keys"
    return [Row("c", what, pairwise_ratio(a, b), raw, Target("at least", 1.5))]


def backlog(example: Example, count: int, seed: int) -> None:
    """Make `count` changes after a checkpoint. The first changes log their pages in full; the measurement comes after that, as in an
    application that writes all the time."""
    quiesce(example)
    values = {"seed": sql.Literal(seed), "count": sql.Literal(count), "per": sql.Literal(PER_TRANSACTION)}
    example.execute(sql.SQL(BACKLOG).format(**values))


def _replay(example: Example, count: int, seed: int) -> Rate:
    """Replay until the queue is empty, by the function that `swap sync` calls."""
    backlog(example, count, seed)
    with example.metered() as meter, example.database.session() as conn:
        migration = example.migration(conn)
        taken, complete = 0, False
        while not complete:
            done = replay(migration)
            taken, complete = taken + done.entries, done.complete
    if taken != count:
        raise CommandFailedError(f"{taken:,} keys were replayed, {count:,} were changed")
    example.execute(*(sql.SQL("VACUUM {}").format(t.sql) for t in (USERS, migration.plan.shadow)))
    return Rate(taken / meter.seconds, meter.cpu / taken * 1e6)


@contextmanager
def subscribed_pair(setting: Setting, prefix: str) -> Iterator[tuple[Example, Example]]:
    """Two clones, the second subscribed to the first's users."""
    with (
        setting.example(f"{prefix}_published", setting.users, references=False) as published,
        setting.example(f"{prefix}_subscribed", setting.users, references=False) as subscribed,
    ):
        _subscribe(published, subscribed)
        try:
            yield published, subscribed
        finally:
            _unsubscribe(published, subscribed)


def _subscribe(published: Example, subscribed: Example) -> None:
    """Both tables are clones of one template, so nothing has to be copied. On one server the slot has to be made first."""
    name = sql.Identifier(NAME)
    published.execute(
        sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(name, USERS.sql),
        sql.SQL("SELECT pg_create_logical_replication_slot({}, 'pgoutput')").format(sql.Literal(NAME)),
    )
    subscribed.execute(
        sql.SQL(
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}"
            " WITH (create_slot = false, slot_name = {}, copy_data = false, enabled = false)"
        ).format(name, sql.Literal(published.superuser), name, sql.Literal(NAME))
    )


def _unsubscribe(published: Example, subscribed: Example) -> None:
    name = sql.Identifier(NAME)
    subscribed.execute(
        sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(name),
        sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(name),
        sql.SQL("DROP SUBSCRIPTION {}").format(name),
    )
    _slot_is_free(published)
    published.execute(sql.SQL("SELECT pg_drop_replication_slot({})").format(sql.Literal(NAME)))


def apply_worker(published: Example, subscribed: Example, count: int, seed: int) -> Rate:
    """The time from the worker's start until the last change has arrived."""
    _slot_is_free(published)
    # So the changes of other databases meanwhile do not have to be decoded.
    published.execute(sql.SQL("SELECT pg_replication_slot_advance({}, pg_current_wal_lsn())").format(sql.Literal(NAME)))
    backlog(published, count, seed)
    total = sql.SQL("SELECT sum(login_count) FROM {}").format(USERS.sql)
    wanted = published.execute(total)[0][0]
    marker = sql.SQL("SELECT login_count FROM {} WHERE id = 0").format(USERS.sql)
    published.execute(sql.SQL("UPDATE {} SET login_count = login_count + 1 WHERE id = 0").format(USERS.sql))
    ((last,),) = published.execute(marker)
    switch = sql.SQL("ALTER SUBSCRIPTION {} {}")
    with subscribed.metered() as meter:
        subscribed.execute(switch.format(sql.Identifier(NAME), sql.SQL("ENABLE")))
        seconds = _caught_up(subscribed, sql.SQL("({}) = {}").format(marker, sql.Literal(last)))
        subscribed.execute(switch.format(sql.Identifier(NAME), sql.SQL("DISABLE")))
        _slot_is_free(published)
    ((sum_there,),) = subscribed.execute(total)
    if sum_there != wanted + 1:
        raise CommandFailedError("the apply worker did not apply every change")
    for example in (published, subscribed):
        example.execute(sql.SQL("VACUUM {}").format(USERS.sql))
    return Rate(count / seconds, meter.cpu / count * 1e6)


def _caught_up(subscribed: Example, condition: sql.Composed) -> float:
    """Seconds by the server's clock, from the start of the apply worker until the condition holds."""
    began = None
    deadline = time.monotonic() + LIMIT_S
    worker = "SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'logical replication apply worker'"
    with subscribed.session() as conn:
        while True:
            if began is None:
                row = conn.execute(worker).fetchone()
                began = row[0] if row else None
            row = conn.execute(sql.SQL("SELECT clock_timestamp(), {}").format(condition)).fetchone()
            assert row is not None
            if row[1] and began is not None:
                return float((row[0] - began).total_seconds())
            if time.monotonic() > deadline:
                raise CommandFailedError(f"the subscription did not catch up in {LIMIT_S:.0f} s")
            time.sleep(POLL_S)


def _slot_is_free(published: Example) -> None:
    deadline = time.monotonic() + LIMIT_S
    active = sql.SQL("SELECT active FROM pg_replication_slots WHERE slot_name = {}").format(sql.Literal(NAME))
    while published.execute(active)[0][0]:
        if time.monotonic() > deadline:
            raise CommandFailedError("the replication slot stayed in use")
        time.sleep(POLL_S)
