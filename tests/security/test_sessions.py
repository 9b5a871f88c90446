"""`swap` knows its own sessions by a lock that they hold and by their role, never by their name: a session that calls itself
`swap …` is ended like any other (H34)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cutover.clients import disconnect
from swap.core.connection import Database as Conninfo
from swap.core.errors import LockError
from swap.core.session_settings import OWN_CLASS
from tests.support.commands import Cli
from tests.support.migration import Synced
from tests.support.mode import current_mode
from tests.support.operator import Operator
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 3) n;
"""
ALL = {"max_attempts": 3, "lock_timeout_ms": 50, "kill_blockers": "all"}
TAKE = f"SELECT count(pg_advisory_lock({OWN_CLASS}, n)) FROM generate_series(0, 999) n"
RIGHTS = "pg_monitor, pg_signal_backend"
NAMED = "application_name=swap%20sync"


@pytest.fixture
def may(connect: Connect, database: Database, synced: Synced) -> Iterator[None]:
    """swap_owner sees other sessions and may end them. Roles are the whole server's."""
    admin = connect(database.superuser)
    admin.execute("DO $$ BEGIN CREATE ROLE swap_owner LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    admin.execute(f"GRANT {RIGHTS} TO swap_owner".encode())
    if current_mode() == "trigger":  # a role that may replicate is spared, and another test may have allowed it
        admin.execute("ALTER ROLE swap_owner NOREPLICATION")
    yield
    connect(database.superuser.replace(database.dbname, "postgres")).execute(f"REVOKE {RIGHTS} FROM swap_owner".encode())


def alive(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("role", ["app", "owner"])
@pytest.mark.parametrize("lock", [False, True])
def test_an_impostor_is_ended(database: Database, connect: Connect, synced: Synced, may: None, role: str, lock: bool) -> None:
    """Another role's, that takes the lock as well; and one of the tool's own role that has nothing but the name."""
    if role == "owner" and lock:
        pytest.skip("the tool's own role may do whatever the tool does")
    if role == "owner" and current_mode() == "logical":
        pytest.skip("a role that may replicate is spared")
    m = synced(database, SCHEMA, cutover=ALL)
    m.verify()
    impostor = connect(f"{getattr(database, role)}?{NAMED}", autocommit=False)
    if lock:
        impostor.execute(TAKE.encode())
    impostor.execute("SELECT FROM users")
    message = f"pid {impostor.info.backend_pid} {impostor.info.user} (swap sync)"
    assert m.exchange("cutover").outcome == "committed"
    assert not alive(impostor)
    said = m.conn.execute("SELECT string_agg(message, '; ') FROM swap.event").fetchone()
    assert said is not None
    assert message in said[0]


def test_our_own_is_not(database: Database, connect: Connect, synced: Synced, may: None) -> None:
    """A session of another swap, of the same role, in the way: the attempts fail, and it goes on. It is known, whatever locks another
    role holds."""
    m = synced(database, SCHEMA, cutover=ALL)
    m.verify()
    connect(database.app).execute(TAKE.encode())
    with Conninfo.from_options(database.owner, "verify").session() as own:
        own.execute("BEGIN")
        own.execute("SELECT FROM public.users")
        with pytest.raises(LockError, match=f"pid {own.info.backend_pid} "):
            m.exchange("cutover")
        assert alive(own)


def test_a_running_sync_is_not(database: Database, synced: Synced, may: None, cli: Cli, tmp_path: Path) -> None:
    """`sync` hands over and goes on, in the other direction."""
    m = synced(database, SCHEMA)
    op = Operator(cli, database, tmp_path, '[cutover]\nkill_blockers = "all"\n')
    assert op("verify").json["verdict"] == "identical"
    running = op.start("sync")
    wait_until(lambda: m.conn.execute("SELECT pid FROM swap.lock WHERE name = 'worker'").fetchone(), what="sync works")
    assert op("cutover", "--no-snapshot", "--yes").json["outcome"] == "committed"
    m.conn.execute("INSERT INTO public.users (email) VALUES ('after')")
    wait_until(lambda: op.status()["pending_changes"] == 0, what="sync goes on")
    assert running.process.poll() is None


def test_disconnected_clients(database: Database, connect: Connect, synced: Synced, may: None) -> None:
    """Where the application connects as the tool's role, its sessions end and the tool's own go on."""
    m = synced(database, SCHEMA)
    m.verify()
    named, plain = connect(f"{database.owner}?{NAMED}"), connect(database.owner)
    with Conninfo.from_options(database.owner, "sync").session() as own:
        m.exchange("cutover")
        assert disconnect(m, ["swap_owner"]).ended == 2
        assert [alive(s) for s in (named, plain, own)] == [False, False, True]
