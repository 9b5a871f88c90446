"""Two commands from two machines (H42, I11): the second is told who is at work and from where, and takes over from one whose
machine is gone without a word, at once or when the server notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from psycopg import sql

import swap.core.session_settings
from swap.core.connection import Database as Conninfo
from swap.core.session_settings import SETTINGS
from swap.demo.server import Server
from swap.state.journal import Journal
from swap.state.locks import OPERATOR, WORKER, Locks
from tests.support.operator import MakeOperator
from tests.support.proxy import Proxy
from tests.support.servers import Connect, Database, DatabaseServer, Execute
from tests.support.waiting import wait_until

ELSEWHERE = "127.0.0.2"
SOON = {"tcp_keepalives_idle": "1", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "1", "tcp_user_timeout": "1500"}


@pytest.fixture
def far_proxy(server: DatabaseServer, admin: Execute, proxy: Proxy) -> Iterator[Proxy]:
    """A proxy on another machine: the server sees another address, which it lets in."""
    if not isinstance(server, Server):
        pytest.skip("needs a private server")
    rules = server.layout.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"{before}host all all {ELSEWHERE}/32 trust\n")
    admin(sql.SQL("SELECT pg_reload_conf()"))
    proxy.address = ELSEWHERE
    yield proxy
    rules.write_text(before)
    admin(sql.SQL("SELECT pg_reload_conf()"))


@pytest.mark.slow
@pytest.mark.both_modes
def test_the_second_is_told_and_takes_over(ready_operator: MakeOperator, connect: Connect, far_proxy: Proxy) -> None:
    """Given a `sync` from another address, and one whose machine is gone: the line names application, process and address,
    and the statement of the hint lets the next command work."""
    op = ready_operator()
    there = replace(op.db, owner=f"postgresql://swap_owner@127.0.0.1:{far_proxy.port}/{op.db.dbname}")
    far = op.cli.start("sync", config=op.config, dsn=there.owner)
    admin, owner = connect(op.db.superuser), connect(op.db.owner)
    works = "SELECT a.pid FROM swap.lock l JOIN pg_stat_activity a USING (pid) WHERE l.name = 'worker'"
    works += " AND a.datname = current_database() AND a.application_name = 'swap sync'"
    found = wait_until(lambda: admin.execute(works.encode()).fetchone(), 20, "sync is at work")
    pid = found[0] if found else None

    for _ in ("it works", "its machine is gone"):
        error = op.refused("sync", "--once", code=3)
        assert f"(swap sync, pid {pid}, from {ELSEWHERE})" in error["message"]
        far_proxy.silence()
    statement = re.search(r"SELECT pg_terminate_backend\(\d+\);", error["hint"])
    assert statement is not None
    owner.execute(statement[0].encode())
    admin.execute("UPDATE users SET login_count = login_count + 1")
    wait_until(lambda: admin.execute(works.encode()).fetchone() is None, 20, "it has ended")
    assert op("sync", "--once").json["reason"] == "caught_up"
    assert op("verify").json["verdict"] == "identical"
    far.kill()


def test_the_server_ends_who_is_gone(
    database: Database, connect: Connect, far_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a session sets at its beginning is enough: its locks are free without anybody's help. Within about a minute;
    here with shorter times."""
    monkeypatch.setattr(swap.core.session_settings, "SETTINGS", SETTINGS | SOON)
    far = Conninfo.from_options(f"postgresql://postgres@127.0.0.1:{far_proxy.port}/{database.dbname}", "cutover").connect()
    here = connect(database.superuser)
    Journal(here, "swap").create()
    there, local = Locks(far, "swap", 1), Locks(here, "swap", 1)
    with closing(far), there.only_operator(), there.only_worker():
        assert str(local.holder(OPERATOR)) == f"swap cutover, pid {far.info.backend_pid}, from {ELSEWHERE}"
        far_proxy.silence()
        wait_until(local.try_worker, 30, "the server has ended the session")
        assert local.holder(WORKER) is None
        far.close()


def test_a_unix_socket(database: Database, server: DatabaseServer, connect: Connect) -> None:
    if not isinstance(server, Server):
        pytest.skip("needs a private server")
    local = connect(f"host={server.layout.sockets} port={server.port} user=postgres dbname={database.dbname}")
    Journal(local, "swap").create()
    with Locks(local, "swap", 1).only_worker():
        assert "Unix socket" in str(Locks(connect(database.superuser), "swap", 1).holder(WORKER))
