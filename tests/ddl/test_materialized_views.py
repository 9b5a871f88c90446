"""Materialized views across the exchange: they get the rows of the new key, and the old ones are kept (H26)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import cutover.final_drain
import cutover.run
import swap.ddl.materialized_views
import swap.sync.follow_up
import swap.sync.materialized_views
from swap.core.lock_budget import LockBudget
from swap.sync.follow_up import finish_exchange
from swap.sync.materialized_views import finish_materialized_views
from tests.support.cycling import Cycle, Start, doctor
from tests.support.dump import without_fence
from tests.support.migration import background, install
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE FUNCTION label(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1 || (SELECT count(*) FROM public.sessions)';
CREATE VIEW town AS SELECT id, email FROM users;
CREATE MATERIALIZED VIEW counts AS SELECT t.id, label(t.email) AS email FROM town t;
CREATE UNIQUE INDEX counts_id ON counts (id);
CREATE MATERIALIZED VIEW above AS SELECT count(id) AS n, min(id::text) AS id FROM counts;
CREATE MATERIALIZED VIEW never AS SELECT id FROM users WITH NO DATA;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app;
"""
LARGE = ["view:public.counts", "view:public.above"]
POPULATED = "SELECT relname::text FROM pg_class WHERE relkind = 'm' AND relispopulated AND relnamespace = 'public'::regnamespace ORDER BY 1"
KEPT = "SELECT count(*) FROM pg_class WHERE relnamespace = 'swap'::regnamespace AND relkind IN ('v', 'm')"


def one(conn: psycopg.Connection[Any], statement: str) -> Any:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def names(conn: psycopg.Connection[Any], statement: str) -> list[str]:
    return [r[0] for r in conn.execute(statement.encode())]


def test_rows_follow_and_come_back(start: Start, database: Database, connect: Connect) -> None:
    """The cutover fills them, each after those under it. The revert brings the old ones back at once. An empty one stays empty."""
    admin = connect(database.superuser)
    # Before 17 a function in the query may depend on the session's search_path. From 17 on a refresh has a safe one of its own.
    old_style = admin.info.server_version < 170000
    cycle = start(SCHEMA.replace("public.sessions", "sessions") if old_style else SCHEMA)
    cycle.ready()
    app = connect(database.app)
    old = one(admin, "SELECT 'counts'::regclass::oid")
    admin.execute("DELETE FROM sessions WHERE id = 9")
    cycle.verified()
    assert one(app, "SELECT min(email) FROM counts") == "user19"
    cycle.cutover()
    assert one(app, "SELECT bool_and(c.id = u.id AND c.email = u.email || '8') FROM counts c JOIN users u ON c.email ^@ u.email")
    assert one(app, "SELECT n FROM above") == 9
    assert one(app, "SELECT pg_typeof(id)::text FROM counts LIMIT 1") == "uuid"
    assert names(app, POPULATED) == ["above", "counts"]
    assert one(admin, KEPT) == 4
    assert one(admin, f"SELECT reltuples FROM pg_class WHERE oid = {old}") is not None
    cycle.revert()
    assert one(admin, "SELECT 'counts'::regclass::oid") == old
    assert one(app, "SELECT bool_and(email = 'user' || id || '8') FROM counts"), "refreshed after the revert"
    assert names(app, POPULATED) == ["above", "counts"]
    assert one(admin, KEPT) == 0


class KilledError(Exception):
    """Stands for a kill between the commit and the follow-up."""


def killed_after_the_commit(cycle: Cycle, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: object, **options: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(cutover.run, "finish_exchange", killed)
        with pytest.raises(KilledError):
            cycle.exchange("cutover")


def test_small_ones_are_never_empty(start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange itself fills them, whatever happens after it. Their queries are planned with the normal settings, not with those
    of the drain before them, which allow nested loops only."""
    cycle = start(
        SCHEMA
        + "CREATE MATERIALIZED VIEW joins AS SELECT id, current_setting('enable_hashjoin') AS hash FROM users; GRANT SELECT ON joins TO app"
    )
    cycle.ready()
    connect(database.superuser).execute("INSERT INTO users (email) VALUES ('late')")
    monkeypatch.setattr(cutover.final_drain, "drain", lambda *_: 0)
    killed_after_the_commit(cycle, monkeypatch)
    app = connect(database.app)
    assert names(app, POPULATED) == ["above", "counts", "joins"]
    assert one(app, "SELECT count(*) FILTER (WHERE hash = 'on') FROM joins") == 10
    assert one(app, "SELECT pg_typeof(id)::text FROM counts LIMIT 1") == "uuid"


def test_large_ones_are_filled_after_the_commit(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` names them, and they must be accepted. Empty at the commit, filled by the follow-up, after a kill too (I2, I4)."""
    monkeypatch.setattr(swap.ddl.materialized_views, "REFRESH_BYTES", 0)
    install(database, SCHEMA)
    found = [f for f in doctor(database) if f.status == "blocker"]
    assert [f.label for f in found] == LARGE
    assert all(f.acceptable and "empty, an error to its readers" in f.detail for f in found)
    cycle = start("SELECT 1", accept={"findings": LARGE})
    cycle.ready()

    app = connect(database.app)
    killed_after_the_commit(cycle, monkeypatch)
    assert names(app, POPULATED) == []
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="has not been populated"):
        app.execute("SELECT * FROM counts")
    cycle.m.run = cycle.m.journal.get(cycle.m.run.id)
    cycle.caught_up()
    assert names(app, POPULATED) == ["above", "counts"]
    assert one(app, "SELECT reltuples FROM pg_class WHERE oid = 'counts'::regclass") == 9, "and analysed"
    cycle.revert()
    assert names(app, POPULATED) == ["above", "counts"], "a revert never empties one"


def test_a_reader_of_the_materialized_view_is_waited_for(start: Start, database: Database, connect: Connect) -> None:
    """H33: the cutover asks for its lock before the source's. So no session waits behind a cutover that cannot get it."""
    cycle = start(SCHEMA, cutover={"max_attempts": 1, "lock_timeout_ms": 20_000, "max_lock_hold_ms": 20_000})
    cycle.ready()
    reader, admin = connect(database.app, autocommit=False), connect(database.superuser)
    reader.execute("SELECT * FROM above")
    with background(cycle.cutover, reader.rollback) as running:
        assert wait_for_lock_wait(admin, cycle.m.pid) == [reader.info.backend_pid]
        admin.execute(
            "SET lock_timeout = '100ms'; SELECT * FROM users LIMIT 1; UPDATE sessions SET user_id = user_id WHERE id = 1"
        )
        reader.rollback()
        assert running.result(60).outcome == "committed"


def test_a_refresh_is_asked_for_in_short_attempts(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H33: given a reader of a view that is to be refreshed after a revert, then a later reader waits for one attempt at most. A view
    that is not refreshed stays for the next time."""
    monkeypatch.setattr(swap.sync.materialized_views, "BUDGET", LockBudget(300, 3))
    cycle = start(SCHEMA)
    cycle.ready()
    m, admin, later = cycle.m, connect(database.superuser), connect(database.app)
    admin.execute("DELETE FROM sessions; DELETE FROM users WHERE id = 9")
    reader = connect(database.app, autocommit=False)
    reader.execute("SELECT FROM above")
    with background(lambda: finish_materialized_views(m), reader.rollback) as running:
        wait_for_lock_wait(admin, m.pid)
        later.execute("SET lock_timeout = '20s'; SELECT FROM above")
        assert running.result(60) is False
    reader.rollback()
    assert one(later, "SELECT n FROM above") == 9
    assert finish_materialized_views(m) is True
    assert one(later, "SELECT n FROM above") == 8


def test_finalize_drops_what_was_kept(start: Start, database: Database, connect: Connect) -> None:
    """`finalize` drops the old views; they do not keep an integer column from being dropped (H45)."""
    extra = "CREATE VIEW who AS SELECT user_id FROM sessions; CREATE FUNCTION f(u users) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    cycle = start(SCHEMA + extra)
    cycle.ready()
    cycle.cutover()
    admin = connect(database.superuser)
    functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'swap'::regnamespace"
    assert one(admin, KEPT) == 5
    m = cycle.m
    m.finalize(drop_legacy=True)
    assert (one(admin, KEPT), one(admin, functions)) == (0, 0)
    assert one(admin, "SELECT count(*) FROM counts JOIN who ON who.user_id = counts.id") == 9


def test_a_revert_does_not_wait_for_a_fill(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To fill the new view may take an hour. An operator who has to go back ends that, and has the old rows at once."""
    monkeypatch.setattr(swap.ddl.materialized_views, "REFRESH_BYTES", 0)
    cycle = start(SCHEMA, accept={"findings": LARGE})
    cycle.ready()

    class EndedError(Exception):
        """The operator has ended the refresh."""

    def ended(*args: object) -> None:
        raise EndedError

    with monkeypatch.context() as patch:
        patch.setattr(swap.sync.follow_up, "finish_materialized_views", ended)
        with pytest.raises(EndedError):
            cycle.exchange("cutover")
        cycle.m.run = cycle.m.journal.get(cycle.m.run.id)
        app = connect(database.app)
        with pytest.raises(EndedError):
            cycle.m.sync()
        finish_exchange(cycle.m, wait=True, fill=False)
        cycle.verified()
        with pytest.raises(EndedError):
            cycle.exchange("revert")
        assert names(app, POPULATED) == ["above", "counts"]
    cycle.m.run = cycle.m.journal.get(cycle.m.run.id)
    cycle.caught_up()
    assert without_fence(cycle.dump()) == without_fence(cycle.before_cutover)
