"""Verification while the table changes: it counts pending keys, and every other row must match the first time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql

from swap.sync.loop import Sync
from tests.support.migration import Driver, Migrate, background, migrations
from tests.support.servers import Database, DatabaseServer
from tests.support.verifying import METHODS
from tests.support.waiting import wait_until
from verify.report import Method, Report
from verify.run import verify
from verify.settings import VerificationSettings

ROWS = 60_000
DDL = f"""
CREATE TABLE users (id bigserial PRIMARY KEY, n int NOT NULL DEFAULT 0, bio text);
INSERT INTO users (bio) SELECT md5(i::text) FROM generate_series(1, {ROWS}) i;
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO sessions (user_id) SELECT i FROM generate_series(1, 1000) i;
"""
SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.bio := 'wrong'; RETURN NEW; END $$;
CREATE TRIGGER spoil BEFORE UPDATE ON users_new FOR EACH ROW WHEN (NEW.id IN (10, 45000)) EXECUTE FUNCTION spoil()
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def synced(migrate: Migrate, database: Database, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 5_000)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 5_000)
    return migrate(database, DDL).synced()


def verified(m: Driver, method: Method) -> Report:
    m.reload()
    return verify(m, VerificationSettings(method, jobs=2))


def keys_of(report: Report) -> list[int | str]:
    return [f.shown for f in report.findings]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("method", METHODS)
def test_a_real_difference_among_50_000_pending_keys(synced: Driver, method: Method) -> None:
    """Given a replay that is held back, and wrong for two of the keys: the first verification after a key is not pending any more
    finds it."""
    synced.conn.execute("UPDATE public.users SET n = n + 1 WHERE id <= 25000")
    synced.conn.execute("UPDATE public.users SET n = n + 1 WHERE id > 25000 AND id <= 50000")
    report = verified(synced, method)
    assert report.verdict == "identical", report
    assert (report.tables[0].pending, report.tables[0].rows) == (50_000, ROWS - 50_000)
    synced.conn.execute("SET search_path = public, pg_catalog")
    synced.conn.execute(SPOIL)
    synced.conn.execute("UPDATE users_new SET bio = 'wrong' WHERE id = 55000")
    assert keys_of(verified(synced, method)) == [55_000]  # it is not pending
    synced.conn.execute("SET search_path = pg_catalog, pg_temp")
    # Replay takes whole transactions: the first of the two, or some of those of the stream.
    taken = synced.replay(10_000).entries
    assert 10_000 <= taken <= 25_000
    report = verified(synced, method)
    assert (report.tables[0].pending, keys_of(report)) == (50_000 - taken, [10, 55_000])
    synced.replay()
    report = verified(synced, method)
    assert (report.tables[0].pending, keys_of(report)) == (0, [10, 45_000, 55_000])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("paused", [False, True])
def test_a_table_that_changes_at_full_speed(synced: Driver, server: DatabaseServer, tmp_path: Path, paused: bool) -> None:
    """Given pgbench at full speed, and a replay that goes on or is paused (`swap pause`): the verification finishes, and it
    reports no row as different that is only late."""
    if not (server.bindir / "pgbench").exists():
        pytest.skip(f"no pgbench in {server.bindir}")
    script = tmp_path / "load.sql"
    script.write_text(
        f"\\set id random(1, {ROWS})\n"
        "UPDATE public.users SET n = n + 1, bio = md5(random()::text) WHERE id = :id;\n"
        "INSERT INTO public.users (bio) VALUES ('new');\n"
        f"DELETE FROM public.users WHERE id = {ROWS} + :id;\n"
    )
    synced.journal.update_run(synced.run.id, paused=paused)
    stop = threading.Event()
    sync = Sync(replace(synced, stop=stop), jobs=1, once=False)
    load = subprocess.Popen(
        [server.bindir / "pgbench", "-n", "-c", "2", "-T", "3600", "-f", script, synced.database.conninfo],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with background(sync.run, stop.set) as following, synced.database.session() as conn:
            written = sql.SQL("SELECT count(*) > 500 FROM public.users WHERE bio = 'new'")
            wait_until(lambda: (conn.execute(written).fetchone() or (False,))[0], 60, what="the load is on")
            for method in METHODS:
                for snapshot_max_s in (900.0, 0.0):
                    settings = VerificationSettings(method, jobs=2, snapshot_max_s=snapshot_max_s)
                    with synced.database.session() as own:
                        report = verify(synced.on(own), settings)
                    assert report.verdict == "identical", report
                    if paused:
                        assert report.tables[0].pending > 500
            assert load.poll() is None
            stop.set()
            following.result(60)
    finally:
        load.terminate()
        load.wait(30)
