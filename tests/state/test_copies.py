"""H58, I11: the state in another cluster, another database, a promoted or upgraded server. Every command refuses it by name before
anything in it is believed, and `swap adopt-clone` takes it over on purpose: no write on the copy is lost."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import verbatim
from swap.demo.server import Server
from swap.state.origin import read_here
from tests.support.commands import Cli
from tests.support.migration import allow_replication, install
from tests.support.mode import Mode, current_mode
from tests.support.operator import Operator
from tests.support.servers import Connect, Database, DatabaseServer, Execute
from tests.support.standby import standby_of
from tests.support.verifying import killed_after_three_ranges

SPEC = os.environ.get("SWAP_TEST_PG", "18")
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 200) n;
INSERT INTO sessions (user_id) SELECT id FROM users WHERE id > 20;
"""
WRITES = """
INSERT INTO users (email) VALUES ('of the copy');
UPDATE users SET email = 'changed' WHERE email = 'user7';
DELETE FROM users WHERE email = 'user8';
"""
CUTOVER = ("cutover", "--yes", "--no-snapshot")
COMMANDS = (
    ("status",),
    ("plan",),
    ("prepare",),
    ("sync", "--once"),
    ("verify",),
    CUTOVER,
    ("revert", "--yes"),
    ("finalize", "--yes"),
    ("abort", "--yes"),
)
own_server = pytest.mark.skipif(not SPEC.isdigit(), reason="a container's cluster cannot be copied from here")


@pytest.fixture
def op(cli: Cli, database: Database, tmp_path: Path) -> Operator:
    install(database, SCHEMA)
    return Operator(cli, database, tmp_path, "\n")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def run(conninfo: str, text: str) -> Any:
    with closing(psycopg.connect(conninfo, autocommit=True)) as conn:
        cursor = conn.execute(verbatim(text))
        return cursor.fetchone() if cursor.description else None


def dump(server: DatabaseServer, dbname: str) -> str:
    """A whole dump, as statements that a driver can run."""
    command: list[str | Path] = [server.bindir / "pg_dump", "--inserts", "--encoding=UTF8", server.conninfo(dbname)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.sub(r"(?m)^\\.*$", "", done.stdout)


def refused_everywhere(op: Operator, *said: str) -> None:
    """Nothing is changed, and each command names what differs."""
    before = run(op.db.superuser, "SELECT (SELECT max(id) FROM swap.event), (SELECT array_agg(watermark) FROM swap.capture)")
    for command in COMMANDS:
        error = op.refused(*command, code=3)
        assert all(s in error["message"] for s in said), error
        assert "swap adopt-clone" in error["hint"]
    (found,) = [c for c in op("doctor", check=False).json["checks"] if c["name"] == "state-schema"]
    assert found["status"] == "blocker"
    assert all(s in found["detail"] for s in said)
    assert (
        run(op.db.superuser, "SELECT (SELECT max(id) FROM swap.event), (SELECT array_agg(watermark) FROM swap.capture)") == before
    )
    assert op("adopt-clone", check=False).code == 2  # it asks


def goes_on(op: Operator, *commands: tuple[str, ...]) -> None:
    for command in commands:
        run(op.db.owner, "UPDATE users SET email = email || '.' WHERE email = 'changed'")
        op("sync", "--once")
        assert op("verify", "--method", "exact").json["verdict"] == "identical"
        assert op(*command).json["outcome"] == "committed"


def taken_over(op: Operator, *, prepare: bool = True) -> list[str]:
    """Its lines. What was written on the copy meanwhile is found; without another verification nothing is exchanged."""
    done = op("adopt-clone", "--yes").json
    assert done["adopted"]
    assert not op("adopt-clone", "--yes").json["adopted"]
    if prepare:
        exchange = CUTOVER if op.status()["phase"] == "syncing" else ("revert", "--yes")
        hint = op.refused(*exchange, code=3)["hint"]
        assert "`swap verify`" in hint or "`swap prepare`" in hint
        op("prepare")
    return list(done["runs"])


@pytest.mark.slow
@own_server
@pytest.mark.parametrize("cut_over", [False, True])
def test_a_dump_in_another_cluster(
    op: Operator, server: DatabaseServer, stack: ExitStack, cut_over: bool, capture_mode: Mode
) -> None:
    """Given a dump restored where transaction ids are smaller, and writes there, then they would count as replayed: the state is
    refused; taken over, the run goes on and loses none of them."""
    run(server.conninfo(), "DO $$ BEGIN FOR n IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    op("prepare")
    op("sync", "--once")
    op("verify")
    if cut_over:
        op(*CUTOVER)
        op("verify")
    text = dump(server, op.db.dbname)
    op.db = elsewhere(stack, op.db.dbname)
    install(op.db, "SELECT")
    if capture_mode == "logical":
        allow_replication(op.db)
    run(op.db.superuser, text)
    run(op.db.superuser, "ANALYZE")
    run(op.db.owner, WRITES)
    refused_everywhere(op, "system identifier", "this server is at")
    (line,) = taken_over(op)
    assert "swap prepare" in line
    goes_on(op, *([("revert", "--yes"), CUTOVER] if cut_over else [CUTOVER, ("revert", "--yes")]))
    op("sync", "--once")
    op("finalize" if cut_over else "abort", "--yes")


@pytest.mark.slow
def test_a_copy_of_the_database_beside_it(op: Operator, admin: Execute, new_database: Callable[[str], Database]) -> None:
    """Given CREATE DATABASE … TEMPLATE of a run that is synced, and of one that is being built: the first goes on after a
    comparison, the second can only be aborted."""
    op("prepare")
    building = copied(op, admin, new_database)
    op("sync", "--once")
    op("verify")
    synced = copied(op, admin, new_database)
    here = op.db
    for db in (building, synced):
        op.db = db
        run(db.owner, WRITES)
        refused_everywhere(op, "another database")
    op.db = building
    assert "swap abort" in taken_over(op, prepare=False)[0]
    for command in (("sync", "--once"), ("prepare",), CUTOVER):
        assert "still being built" in op.refused(*command, code=3)["message"]
    op("abort", "--yes")
    op("prepare")
    op.db = synced
    taken_over(op)
    goes_on(op, CUTOVER, ("revert", "--yes"))
    op("abort", "--yes")
    op.db = here
    goes_on(op, CUTOVER)


def copied(op: Operator, admin: Execute, new_database: Callable[[str], Database]) -> Database:
    made = new_database(op.db.dbname)
    admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(made.dbname)))
    return made


def test_a_dump_in_the_database_itself(op: Operator, server: DatabaseServer, capture_mode: Mode) -> None:
    """Given the same cluster, database and counter: the tables of the state are other ones."""
    if capture_mode == "logical":
        pytest.skip("the slot is there still, and what it says is newer than the dump")
    op("prepare")
    op("sync", "--once")
    text = dump(server, op.db.dbname)
    run(op.db.owner, WRITES)
    run(op.db.superuser, "DROP SCHEMA swap CASCADE; DROP TABLE users, sessions, users_new, sessions_new CASCADE")
    run(op.db.superuser, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    run(op.db.superuser, text)
    run(op.db.superuser, "ANALYZE")
    refused_everywhere(op, "restored from a dump")
    taken_over(op)
    goes_on(op, CUTOVER)


@pytest.mark.slow
@own_server
def test_a_dump_of_an_interrupted_verification(
    op: Operator, server: DatabaseServer, stack: ExitStack, new_database: Callable[[str], Database]
) -> None:
    """Given a dump taken after three ranges were compared, restored beside its database and in another cluster, then what was compared
    does not count there: a row of those ranges that differs in the copy is found. The original goes on behind them."""
    op("prepare")
    op("sync", "--once")
    killed_after_three_ranges(op)
    text, here = dump(server, op.db.dbname), op.db
    for db in (new_database("template1"), elsewhere(stack, here.dbname)):
        op.db = db
        install(db, "SELECT")
        if current_mode() == "logical":
            allow_replication(db)
        run(db.superuser, text)
        run(db.superuser, "ANALYZE")
        assert op("adopt-clone", "--yes").json["adopted"]
        assert run(db.superuser, "SELECT (SELECT count(*) FROM swap.comparison), (SELECT count(*) FROM swap.compared_range)") == (
            0,
            0,
        )
        op("prepare")
        op("sync", "--once")
        run(db.superuser, "UPDATE users_new SET email = 'wrong' WHERE email = 'user3'")
        found = op("verify", "--jobs", "1", check=False).json
        assert (found["verdict"], found["resumed"], len(found["findings"])) == ("different", 0, 1)
    op.db = here
    done = op("verify", "--jobs", "1").json
    assert (done["verdict"], done["resumed"]) == ("identical", 3)


def elsewhere(stack: ExitStack, name: str) -> Database:
    """An empty database of this name in another cluster."""
    other = stack.enter_context(Server.start(SPEC, {"wal_level": "logical"}, tcp=True))
    run(other.conninfo(), f"CREATE DATABASE {name}")
    return Database(name, *(other.conninfo(name, u) for u in ("postgres", "swap_owner", "app")))


@pytest.mark.slow
@own_server
def test_a_standby_that_was_promoted(op: Operator, server: DatabaseServer, stack: ExitStack, capture_mode: Mode) -> None:
    """Given a clone that was promoted beside its primary, then it is asked for; taken over, the state is as it was."""
    op("prepare")
    op("sync", "--once")
    op("verify")
    standby = stack.enter_context(standby_of(server))
    name = op.db.dbname
    op.db = Database(name, *(standby.conninfo(name, u) for u in ("postgres", "swap_owner", "app")))
    assert op.status()["phase"] == "syncing"  # a standby is the primary's
    assert run(standby.conninfo(), "SELECT pg_promote()") == (True,)
    run(op.db.owner, WRITES)
    refused_everywhere(op, "timeline 1 then, 2 now")
    (line,) = taken_over(op, prepare=False)
    assert "goes on as it is" in line
    if capture_mode == "logical":
        assert "gone" in op.status()["slot"]["problem"]
        op("prepare")
    else:
        assert op.status()["verification"]["verdict"] == "identical"
        assert op.status()["pending_changes"] == 3
    goes_on(op, CUTOVER)


@pytest.mark.slow
@own_server
def test_pg_upgrade(cli: Cli, stack: ExitStack, tmp_path: Path, capture_mode: Mode) -> None:
    """Given the files of the cluster in a newer one, with another system identifier."""
    old, new = (stack.enter_context(Server.start(SPEC, {"wal_level": "logical"}, tcp=True)) for _ in range(2))
    if not (new.bindir / "pg_upgrade").exists():
        pytest.skip(f"no pg_upgrade in {new.bindir}")
    run(old.conninfo(), "CREATE DATABASE upgraded")
    op_db = Database("upgraded", *(old.conninfo("upgraded", u) for u in ("postgres", "swap_owner", "app")))
    install(op_db, SCHEMA)
    op = Operator(cli, op_db, tmp_path, "\n")
    for command in (("prepare",), ("sync", "--once"), ("verify",)):
        op(*command)
    if capture_mode == "logical":  # before 17 the old cluster may have none, and later the new one would get them
        run(op_db.superuser, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    for s in (old, new):
        s._end("fast")
    directories: list[str | Path] = [part for flag, s in (("-d", old), ("-D", new)) for part in (flag, s.layout.data)]
    programs: list[str | Path] = [part for flag, s in (("-b", old), ("-B", new)) for part in (flag, s.bindir)]
    sockets: list[str | Path] = ["-s", new.layout.sockets]
    done = subprocess.run(
        [new.bindir / "pg_upgrade", "-U", "postgres", *directories, *programs, *sockets], capture_output=True, text=True,
        check=False, **{**new._as_account(), "cwd": new.layout.sockets},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    new._launch(new_port=True)
    op.db = Database("upgraded", *(new.conninfo("upgraded", u) for u in ("postgres", "swap_owner", "app")))
    run(op.db.superuser, "ANALYZE")
    run(op.db.owner, WRITES)
    refused_everywhere(op, "system identifier")
    taken_over(op)
    goes_on(op, CUTOVER, ("revert", "--yes"))


def test_what_the_server_does_not_tell_is_not_asked_for(op: Operator, connect: Connect) -> None:
    """Given a role that may not execute what tells the system and the timeline, as on some managed servers, then the rest is
    compared, and the database is still known."""
    hidden = "pg_control_system(), pg_walfile_name(pg_lsn)"
    run(op.db.superuser, f"REVOKE EXECUTE ON FUNCTION {hidden} FROM PUBLIC")
    op("prepare")
    conn: Connection = connect(op.db.owner)
    assert read_here(conn, "swap")[:2] == (None, None)
    assert read_here(connect(op.db.superuser), "swap").system is not None
    run(op.db.superuser, f"GRANT EXECUTE ON FUNCTION {hidden} TO PUBLIC")
    assert op.status()["phase"] == "prepared"
    run(op.db.superuser, "UPDATE swap.origin SET database = database + 1")
    assert "another database" in op.refused("status", code=3)["message"]
    run(op.db.superuser, "DELETE FROM swap.origin")
    assert "nothing says where" in op.refused("status", code=3)["message"]


def test_an_older_layout_is_known_by_its_watermark(op: Operator) -> None:
    """Given a state of before this was recorded, whose watermark this server has not come to, then it is a copy too."""
    op("prepare")
    run(
        op.db.superuser,
        "DROP TABLE swap.origin, swap.comparison, swap.compared_range; COMMENT ON SCHEMA swap IS 'pg-uuid-swap state, version 6'",
    )
    run(op.db.superuser, "UPDATE swap.capture SET watermark = '9000000:9000000:'")
    refused_everywhere(op, "has seen transaction 8999999")
    assert "swap abort" in taken_over(op, prepare=False)[0]
    assert op.status()["phase"] == "prepared"
