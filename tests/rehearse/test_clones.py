"""Clones of each kind, and the proof that a clone is not production. Nothing is rehearsed here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError, StoppedError, UsageError
from swap.demo.server import Server
from swap.rehearse import clone_dump
from swap.rehearse.clones import Clone, CloneOptions, Production, open_clone
from swap.rehearse.proof import prove_not_production
from swap.rehearse.server_log import mark, waits_since
from tests.rehearse.conftest import Databases
from tests.support.commands import ROOT, Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Database, DatabaseServer, ExampleFactory, Execute
from tests.support.waiting import wait_until

Prove = Callable[[Clone, Database], str]


def production_of(db: Database) -> Production:
    return Production.reached(Conninfo.from_options(db.owner, "test"))


@pytest.fixture
def prove() -> Prove:
    """The proof; and that the rows are there."""

    def check(clone: Clone, db: Database) -> str:
        with (
            Conninfo.from_options(db.owner, "test").session() as original,
            Conninfo.from_options(clone.conninfo, "test").session() as conn,
        ):
            assert conn.execute("SELECT count(*) > 0 FROM public.users").fetchone() == (True,)
            return prove_not_production(original, conn, "swap")

    return check


def test_a_template(example: ExampleFactory, prove: Prove, databases: Databases) -> None:
    db = example()
    with psycopg.connect(db.superuser, autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE {db.dbname} SET search_path = "$user", public, swap_owner')
        conn.execute(f"ALTER ROLE app IN DATABASE {db.dbname} SET work_mem = '7MB'")
    before = databases()
    with open_clone(production_of(db), CloneOptions("template", maker=db.superuser), print) as clone:
        assert prove(clone, db).startswith("another database: oid ")
        with psycopg.connect(clone.conninfo) as conn:
            assert conn.execute("SHOW search_path").fetchone() == ('"$user", public, swap_owner',)
            assert conn.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone() == (True,)
    assert databases() == before


def test_a_template_that_is_in_use_or_not_allowed(example: ExampleFactory, databases: Databases) -> None:
    """Refused with what to do, and nothing is left."""
    db = example()
    before = databases()
    with (
        Server.start("18") as elsewhere,
        pytest.raises(UsageError, match="another server than production"),
        open_clone(production_of(db), CloneOptions("template", maker=elsewhere.conninfo()), print),
    ):
        pass
    with (
        pytest.raises(RefusedError, match="permission denied") as refused,
        open_clone(production_of(db), CloneOptions("template"), print),
    ):
        pass
    assert "--clone-dsn" in refused.value.hint
    assert databases() == before


def test_a_dump_into_a_private_server(example: ExampleFactory, prove: Prove) -> None:
    db = example()
    with open_clone(production_of(db), CloneOptions("dump"), print) as clone:
        assert prove(clone, db).startswith("another system identifier: ")
        with psycopg.connect(clone.conninfo) as conn:
            found = conn.execute(
                "SELECT current_user, has_database_privilege(current_database(), 'CREATE'), rolname FROM pg_roles WHERE rolname = 'app'"
            )
            assert found.fetchone() == ("swap_owner", True, "app")
        _waits_are_read(clone)


def _waits_are_read(clone: Clone) -> None:
    """Given a session that waits for a lock longer than deadlock_timeout, when the log is read, then it says who waited, and for what."""
    with psycopg.connect(clone.admin, autocommit=True) as conn, psycopg.connect(clone.admin) as holder:
        since = mark(conn)
        names = {int(oid): str(name) for oid, name in conn.execute("SELECT oid, relname FROM pg_class WHERE relname = 'users'")}
        holder.execute("LOCK TABLE public.users")
        with psycopg.connect(clone.admin, application_name="an application") as waiter:
            waiter.execute("SET deadlock_timeout = '10ms'; SET lock_timeout = '300ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                waiter.execute("SELECT 1 FROM public.users")
        mark(conn)  # the collector has written what came before
        (waited,) = waits_since(conn, since, conn.info.dbname, names) or []
    assert {k: waited[k] for k in ("application", "mode", "table", "statement")} == {
        "application": "an application", "mode": "AccessShareLock", "table": "users", "statement": "SELECT 1 FROM public.users",
    }  # fmt: skip
    assert waited["ms"] >= 10


def test_a_dump_without_rows_into_another_database(example: ExampleFactory, databases: Databases) -> None:
    db = example()
    before = databases()
    with open_clone(production_of(db), CloneOptions("dump", maker=db.superuser, schema_only=True), print) as clone:
        with psycopg.connect(clone.conninfo) as conn:
            assert conn.execute("SELECT count(*) FROM public.users").fetchone() == (0,)
        assert len(databases() - before) == 1
    assert databases() == before


def test_a_base_backup_has_production_s_identity_and_a_timeline_of_its_own(
    server: DatabaseServer, example: ExampleFactory, prove: Prove
) -> None:
    if not isinstance(server, Server):
        pytest.skip("the programs of a server in a container are in that container")
    db = example()
    with psycopg.connect(db.superuser) as conn:
        (spaces,) = conn.execute("SELECT count(*) FROM pg_tablespace").fetchone() or (0,)
    if (
        spaces > 2
    ):  # of another test on this server: a copy that has one does not start (seen on 18 with one inside the data directory)
        with (
            pytest.raises(RefusedError, match="it has tablespaces"),
            open_clone(production_of(db), CloneOptions("basebackup", maker=db.superuser), print),
        ):
            pass
        return
    with open_clone(production_of(db), CloneOptions("basebackup", maker=db.superuser), print) as clone:
        assert prove(clone, db).startswith("a promoted copy: timeline ")
        with psycopg.connect(clone.conninfo) as conn:
            told = conn.execute(
                "SELECT current_setting('archive_mode'), current_setting('max_logical_replication_workers')"
            ).fetchone()
            assert told == ("off", "0")


HOOK = """#!/bin/sh
echo "$SWAP_CLONE_ACTION $SWAP_CLONE_DSN" >> calls
[ "$SWAP_CLONE_ACTION" = remove ] || { env | grep ^PGDATABASE >> calls; echo working; echo 'DSN'; }
"""


def test_a_hook_makes_it_and_removes_it(example: ExampleFactory, prove: Prove, tmp_path: Path) -> None:
    db, other = example(), example()
    script = tmp_path / "clone.sh"
    script.write_text(HOOK.replace("DSN'", f"{other.owner}'"))
    script.chmod(0o755)
    options = CloneOptions("hook", hook=(str(script),), directory=tmp_path)
    with open_clone(production_of(db), options, print) as clone:
        assert prove(clone, db).startswith("another database")
    assert (tmp_path / "calls").read_text().splitlines() == ["create ", f"PGDATABASE={db.dbname}", f"remove {other.owner}"]
    (tmp_path / "calls").unlink()
    script.write_text(HOOK.replace("DSN'", f"{db.owner}'"))
    with (
        pytest.raises(RefusedError, match="cannot be told from production") as told,
        open_clone(production_of(db), options, print),
    ):
        pass
    assert "not called to remove it" in told.value.state
    assert "remove" not in (tmp_path / "calls").read_text(), "what may be production is not to be removed"
    script.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    with (
        pytest.raises(StoppedError, match=r"\(create\) failed with exit code 3") as failed,
        open_clone(production_of(db), options, print),
    ):
        pass
    assert "no room" in failed.value.hint


def test_a_hook_that_does_not_end(example: ExampleFactory, tmp_path: Path) -> None:
    """It is ended with everything that it started, by SIGTERM: it may remove what it began to make."""
    script = tmp_path / "clone.sh"
    script.write_text("#!/bin/sh\ntrap 'echo taken back >> calls' TERM\nsleep 600 &\necho $! > pid\nwait\nexit 4\n")
    script.chmod(0o755)
    options = CloneOptions("hook", hook=(str(script),), directory=tmp_path, timeout_s=1)
    with (
        pytest.raises(StoppedError, match=r"\(create\) was ended after 1 s \(\[hooks\] timeout_s\)"),
        open_clone(production_of(example()), options, print),
    ):
        pass
    assert (tmp_path / "calls").read_text() == "taken back\n"
    wait_until(lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())), what="its child is ended")


def test_production_is_no_clone(operator: MakeOperator, cli: Cli) -> None:
    """Not by another name of the server, and not by another role; nothing is written to it."""
    op = operator(settings="\n")
    for dsn in (op.db.owner, op.db.superuser, op.db.owner.replace("127.0.0.1", "localhost")):
        result = cli("rehearse", "--on", dsn, "--json", dsn=op.db.owner, config=op.config, check=False)
        assert result.code == 3
        assert "cannot be told from production" in result.json["error"]["message"]
    with psycopg.connect(op.db.owner) as conn:
        assert conn.execute("SELECT to_regnamespace('swap')").fetchone() == (None,)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_the_clone_is_removed(
    operator: MakeOperator, cli: Cli, databases: Databases, tmp_path: Path, how: signal.Signals
) -> None:
    """And so are its directories and the command that ran."""
    op = operator(settings="\n")
    directory = tmp_path / "directories"
    directory.mkdir()
    before = databases()
    running = cli.start(
        "rehearse", "--clone", "template", "--clone-dsn", op.db.superuser, "--json", config=op.config, dsn=op.db.owner,
        env={"TMPDIR": str(directory)},
    )  # fmt: skip
    running.wait_line(r"\$ swap doctor")
    (clone,) = databases() - before
    with psycopg.connect(op.db.superuser, autocommit=True) as conn:
        # Whichever command of the cycle runs by then: this process may be slow.
        used = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'swap %%' AND application_name NOT LIKE 'swap rehearse%%'"
        wait_until(lambda: conn.execute(used, [clone]).fetchone() != (0,), what="a command runs in the clone")
        os.kill(running.pid, how)
        ended = running.wait()
        assert ended.code == (-signal.SIGKILL if how is signal.SIGKILL else 6)
        if how is not signal.SIGKILL:
            assert json.loads(ended.stdout)["error"]["code"] == 6
            assert databases() == before
        wait_until(lambda: databases() == before, what="the watchdog drops the clone")
        assert conn.execute(used, [clone]).fetchone() == (0,)
    wait_until(lambda: not [*directory.iterdir()], what="the watchdog removes its directories")


def test_a_clone_that_is_lost(operator: MakeOperator, cli: Cli, databases: Databases, admin: Execute) -> None:
    """Given a cycle, when its database goes, then that is the error, whatever met it first: exit code 9."""
    op = operator(settings="\n")
    before = databases()
    running = cli.start(
        "rehearse", "--clone", "template", "--clone-dsn", op.db.superuser, "--json", config=op.config, dsn=op.db.owner
    )
    running.wait_line(r"\$ swap doctor")
    (clone,) = databases() - before
    admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(clone)))
    ended = running.wait()
    error = json.loads(ended.stdout)["error"]
    assert (ended.code, error["message"].split(":")[0]) == (9, "The clone was lost"), error
    assert databases() == before


def test_a_private_server_that_does_not_start(example: ExampleFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, with the end of what it said."""
    monkeypatch.setattr(clone_dump, "SETTINGS", {"max_connections": "0"})
    with (
        pytest.raises(RefusedError, match=r"did not start: .*max_connections") as refused,
        open_clone(production_of(example()), CloneOptions("dump"), print),
    ):
        pass
    assert "TMPDIR" in refused.value.hint


def test_killed_while_it_dumps_nothing_of_production_is_left(
    operator: MakeOperator, cli: Cli, databases: Databases, tmp_path: Path
) -> None:
    """Given a dump that waits for a lock, when the rehearsal is killed, then pg_dump ends, and its files and the new database go."""
    op = operator(settings="\n")
    directory = tmp_path / "directories"
    directory.mkdir()
    before = databases()
    with psycopg.connect(op.db.superuser) as holder, psycopg.connect(op.db.superuser, autocommit=True) as conn:
        holder.execute("LOCK TABLE public.users")
        running = cli.start(
            "rehearse", "--clone", "dump", "--clone-dsn", op.db.superuser, "--json", config=op.config, dsn=op.db.owner,
            env={"TMPDIR": str(directory)},
        )  # fmt: skip
        dumps = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'pg_dump'"
        wait_until(lambda: conn.execute(dumps, [op.db.dbname]).fetchone() != (0,), what="pg_dump waits")
        assert [p.name[:10] for p in directory.iterdir() if (p / "dump").exists()] == ["swap-dump-"]
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
        wait_until(lambda: conn.execute(dumps, [op.db.dbname]).fetchone() == (0,), what="the watchdog ends pg_dump")
        wait_until(lambda: not [*directory.iterdir()] and databases() == before, what="the watchdog removes the rest")


def test_kept(operator: MakeOperator, example: ExampleFactory, databases: Databases, admin: Execute) -> None:
    """With --keep the databases that it made stay, and so does the clone of a hook."""
    op, other = operator(settings="\n"), example()
    before = databases()
    for options in (
        CloneOptions("template", maker=op.db.superuser, keep=True),
        CloneOptions("dump", maker=op.db.superuser, schema_only=True, keep=True),
        CloneOptions(
            "hook", hook=("/bin/sh", "-c", f"[ $SWAP_CLONE_ACTION = create ] || exit 9; echo '{other.owner}'"), keep=True
        ),
    ):
        with open_clone(production_of(op.db), options, print) as clone:
            there = psycopg.conninfo.conninfo_to_dict(clone.conninfo)["dbname"]
        made = databases() - before
        assert made == (set() if options.kind == "hook" else {there})
        for name in made:
            admin(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


KILLED = """
import os, sys, pathlib, signal
sys.path.insert(0, {root!r})
from swap.core.connection import Database
from swap.rehearse.clones import CloneOptions, Production, open_clone
from swap.rehearse.programs import Programs
from swap.rehearse.watchdog import Watchdog
here = pathlib.Path({directory!r})
production = Production.reached(Database.from_options({dsn!r}, "test"))
with Watchdog() as watchdog, open_clone(production, CloneOptions("hook", hook=(str(here / "clone.sh"),), directory=here), print):
    with Programs({{}}, "", [], here, watchdog).running(["sh", "-c", "echo $$ > pid; exec sleep 600"]):
        while not (here / "pid").is_file() or not (here / "pid").read_text().strip():
            pass
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_the_hook_is_called_and_the_load_is_ended(example: ExampleFactory, tmp_path: Path) -> None:
    """Given a clone of a hook and a load, when nothing of the process is left to remove them, then its watchdogs do."""
    db, other = example(), example()
    script = tmp_path / "clone.sh"
    script.write_text(HOOK.replace("DSN'", f"{other.owner}'"))
    script.chmod(0o755)
    text = KILLED.format(root=str(ROOT), directory=str(tmp_path), dsn=db.owner)
    assert (
        subprocess.run([sys.executable, "-P", "-c", text], check=False, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    )
    wait_until(
        lambda: f"remove {other.owner}" in (tmp_path / "calls").read_text().splitlines(), what="the hook removes the clone"
    )
    wait_until(lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())), what="the load is ended")
