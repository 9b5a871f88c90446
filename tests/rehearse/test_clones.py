"""Clones of each kind, and the proof that a clone is not production. Nothing is rehearsed here."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError, StoppedError
from swap.demo.server import Server
from swap.rehearse.clones import Clone, CloneOptions, Production, open_clone
from swap.rehearse.proof import prove_not_production
from tests.rehearse.conftest import Databases
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Database, DatabaseServer, ExampleFactory
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
    script.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    with (
        pytest.raises(StoppedError, match=r"\(create\) failed with exit code 3") as failed,
        open_clone(production_of(db), options, print),
    ):
        pass
    assert "no room" in failed.value.hint


def test_production_is_no_clone(operator: MakeOperator, cli: Cli) -> None:
    """Not by another name of the server, and not by another role; nothing is written to it."""
    op = operator(settings="\n")
    for dsn in (op.db.owner, op.db.superuser, op.db.owner.replace("127.0.0.1", "localhost")):
        result = cli("rehearse", "--on", dsn, "--json", dsn=op.db.owner, config=op.config, check=False)
        assert result.code == 3
        assert "cannot be told from production" in result.json["error"]["message"]
    with psycopg.connect(op.db.owner) as conn:
        assert conn.execute("SELECT to_regnamespace('swap')").fetchone() == (None,)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_the_clone_is_removed(
    operator: MakeOperator, cli: Cli, databases: Databases, tmp_path: Path, how: signal.Signals
) -> None:
    op = operator(settings="\n")
    before = databases()
    running = cli.start(
        "rehearse", "--clone", "template", "--clone-dsn", op.db.superuser, "--json", config=op.config, dsn=op.db.owner,
        env={"TMPDIR": str(tmp_path)},  # the directory of its configuration stays after a SIGKILL
    )  # fmt: skip
    running.wait_line(r"\$ swap doctor")
    assert len(databases() - before) == 1
    os.kill(running.pid, how)
    ended = running.wait()
    assert ended.code == (6 if how is signal.SIGINT else -signal.SIGKILL)
    if how is signal.SIGINT:
        assert json.loads(ended.stdout)["error"]["code"] == 6
        assert databases() == before
    wait_until(lambda: databases() == before, what="the watchdog drops the clone")
