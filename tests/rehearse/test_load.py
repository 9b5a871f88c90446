"""The load beside the cycle: the mix of the catalog or of production's statements, with its ledger; a script of pgbench; a command.
Nothing is migrated here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.errors import UsageError
from swap.core.libpq_environment import libpq_environment
from swap.demo.server import Server
from swap.plan.model import Plan
from swap.plan.planning import read_plan
from swap.rehearse.load import Load
from swap.rehearse.load_beside import BuiltInLoad, LoadBeside, ProgramLoad, ScriptLoad
from swap.rehearse.mix import mine, read_mix
from swap.rehearse.observers import CheckObserver
from swap.rehearse.own_reads import usable
from swap.rehearse.programs import Programs, refuse_program, split
from swap.rehearse.used import Shares, Used, read_used, reads_of, shares_of
from tests.support.servers import Database, ExampleFactory
from tests.support.waiting import wait_until

USERS = Config.model_validate({"source": {"table": "public.users"}})


def test_the_ledger_sees_what_was_lost(example: ExampleFactory) -> None:
    """Given an acknowledged load, when rows are deleted, made and given to another parent behind its back, then each is named."""
    db = example("fresh")
    with Conninfo.from_options(db.owner, "test").session() as conn:
        load = Load(db.owner, read_plan(conn, USERS))
        load.start()
        load.wait_for(150, 60)
        load.stop()
        assert not load.errors
        assert "public.sessions" in {str(t) for t in load.able}
        clean = load.check(conn)
        assert clean.clean, clean
        assert clean.rows > 0
        pattern = mine(load.tag)
        parents = conn.execute(
            "SELECT s.token FROM public.sessions s JOIN public.users u ON u.id = s.user_id WHERE s.token LIKE %s ORDER BY 1 LIMIT 3",
            [pattern],
        ).fetchall()
        (deleted,), (renamed,), (moved,) = parents
        conn.execute("DELETE FROM public.sessions WHERE token = %s", [deleted])
        conn.execute(
            "UPDATE public.sessions SET token = %s WHERE token = %s", [f"swap-{load.tag}-9-9-9@rehearsal.invalid", renamed]
        )
        conn.execute("UPDATE public.sessions SET user_id = (SELECT min(id) FROM public.users) WHERE token = %s", [moved])
        found = load.check(conn)
    assert set(found.lost) == {deleted, renamed}
    assert found.unexpected == (f"swap-{load.tag}-9-9-9@rehearsal.invalid",)
    assert [m.split(":", maxsplit=1)[0] for m in found.misplaced] == [moved]


UNIQUE_DEFAULTS = """
CREATE TABLE users (id bigserial PRIMARY KEY, account int NOT NULL, email varchar NOT NULL DEFAULT '', token varchar UNIQUE);
CREATE UNIQUE INDEX ON users (account, lower(email));
CREATE TABLE notes (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, body text);
CREATE TABLE profiles (id bigserial PRIMARY KEY, user_id bigint UNIQUE NOT NULL REFERENCES users, bio text, place int UNIQUE);
INSERT INTO users (account, email) SELECT 1, 'u' || n FROM generate_series(1, 5) n;
INSERT INTO notes (user_id, body) SELECT id, 'a' FROM users; INSERT INTO profiles (user_id, place) SELECT id, id FROM users
"""


def test_a_unique_text_with_a_default_is_made_up(database: Database) -> None:
    """As Rails' `email`: the marker is in each row, and every row is found again."""
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute(UNIQUE_DEFAULTS)
    with Conninfo.from_options(database.superuser, "test").session() as conn:
        load = Load(database.superuser, read_plan(conn, USERS))
        load.start()
        load.wait_for(60, 60)
        load.stop()
        assert not load.errors, load.errors
        assert {str(t) for t in load.able} == {"public.users", "public.notes"}
        assert {str(t) for t in load.only_read} == {"public.profiles"}
        found = load.check(conn)
        assert (found.lost, found.unexpected, found.misplaced) == ((), (), ())
        assert found.rows > 2


def plan_of(db: Database) -> Plan:
    with Conninfo.from_options(db.owner, "test").session() as conn:
        return read_plan(conn, USERS)


BY_KEY = "SELECT email FROM public.users WHERE id = $1"
PAGE = "SELECT s.id FROM public.sessions s WHERE s.user_id = $1 ORDER BY s.id LIMIT $2"
USED = [
    Used(BY_KEY, 600), Used(PAGE, 200), Used("SELECT id FROM public.users WHERE email = $1", 100),
    Used("UPDATE public.users SET login_count = $1 WHERE id = $2", 90), Used("DELETE FROM public.sessions WHERE id = $1", 10),
]  # fmt: skip


def test_the_mix_is_made_up_as_production_s_statements_are(example: ExampleFactory) -> None:
    """Its shares are theirs, and reads that need keys and numbers only run as they are."""
    db = example()
    plan = plan_of(db)
    shares = shares_of(USED, plan)
    assert shares.source == "pg_stat_statements"
    assert (shares.read, shares.tables) == (0.8, (("sessions", 200), ("users", 700)))  # bounded: writes are what a ledger is for
    assert shares.update > shares.insert == shares.delete > 0.04
    assert sum(shares.by_kind.values()) == pytest.approx(1, abs=0.01)
    assert shares.weight("sessions") / shares.weight("users") == 2 / 7
    assert shares_of([], plan) == shares_of(None, plan) == Shares()
    load = BuiltInLoad(db.owner, plan, USED)
    with load, Conninfo.from_options(db.owner, "test").session() as conn:
        source = read_mix(conn, plan).source
        found = usable(conn, reads_of(USED), "bigint", source.keys)
        assert [(r.text, r.keys) for r in found] == [(BY_KEY, (True,)), (PAGE, (True, False))]
        assert (
            usable(
                conn,
                ["SELECT count(*) FROM nothing WHERE id = $1", "SELECT nextval('public.users_id_seq') + $1"],
                "bigint",
                source.keys,
            )
            == []
        )
        load.load.wait_for(150, 60)
        load.stop()
        document = load.result(conn, [], 0.0)
    assert document["own_reads"] == sorted([BY_KEY, PAGE])
    assert (document["made_from"], document["reasons"], document["lost"]) == ("pg_stat_statements", [], [])


def test_production_s_statements_are_read() -> None:
    """From a server that keeps them."""
    version = os.environ.get("SWAP_TEST_PG", "18")
    with Server.start(version, {"shared_preload_libraries": "pg_stat_statements"}) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as conn:
            conn.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text); CREATE TABLE other (id bigint)")
        with Conninfo.from_options(server.conninfo(), "test").session() as conn:
            plan = read_plan(conn, USERS)
            assert read_used(conn, plan) is None
            conn.execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
            for n in range(3):
                conn.execute(f"SELECT email FROM public.users WHERE id = {n}")
            conn.execute("SELECT * FROM public.other")
            assert read_used(conn, plan) == [Used(BY_KEY, 3)]


SCRIPT = r"""
\set n random(1, 100)
UPDATE public.users SET login_count = login_count + 1 WHERE email = (SELECT email FROM public.users ORDER BY email LIMIT 1 OFFSET :n);
"""


@pytest.fixture
def programs(example: ExampleFactory, tmp_path: Path) -> Any:
    db = example()
    with Conninfo.from_options(db.owner, "test").session() as conn, libpq_environment(conn) as variables:
        yield Programs(variables, db.owner, [], tmp_path)


def result(load: LoadBeside, programs: Programs) -> dict[str, Any]:
    with Conninfo.from_options(programs.url, "test").session() as conn:
        return load.result(conn, [], 0.0)


def test_a_script_of_pgbench(programs: Programs, tmp_path: Path) -> None:
    """Its latencies are in the report; a script that fails is a reason."""
    (tmp_path / "load.sql").write_text(SCRIPT)
    with Conninfo.from_options(programs.url, "test").session() as conn:
        version = conn.info.server_version
        with ScriptLoad(programs, tmp_path / "load.sql", version) as load:
            wait_until(lambda: any(f.stat().st_size for f in load.directory.iterdir()), what="pgbench writes its log")
    document = result(load, programs)
    assert (document["kind"], document["ends"], document["reasons"]) == ("script", [], []), document
    assert document["transactions"] > 0
    assert document["around"][-1]["writes"] == document["transactions"]
    (tmp_path / "load.sql").write_text("SELECT nothing FROM public.users;")
    with ScriptLoad(programs, tmp_path / "load.sql", version) as load:
        wait_until(lambda: bool(load.ends), what="pgbench ends")
    (failed, none) = result(load, programs)["reasons"]
    assert "pgbench ended with 2" in failed
    assert none == "pgbench did no transaction"


def test_a_command_as_the_load(programs: Programs, tmp_path: Path) -> None:
    """It is started again when it ends; a code other than 0 is a reason, and being ended at the end is none."""
    marks = tmp_path / "marks"
    text = 'echo "$SWAP_REHEARSAL_STATE $PGDATABASE" >> marks; [ $(wc -l < marks) -lt 3 ] || exec sleep 600'
    with ProgramLoad(programs, split(f"sh -c '{text}'")) as load:
        wait_until(lambda: marks.is_file() and len(marks.read_text().splitlines()) == 3, what="it was started three times")
    document = result(load, programs)
    assert (document["ends"], document["reasons"]) == ([0, 0], [])
    assert set(marks.read_text().splitlines()) == {f"load {programs.variables['PGDATABASE']}"}
    with ProgramLoad(programs, split("sh -c 'echo no such user; exit 7'")) as load:
        wait_until(lambda: bool(load.ends), what="it ends")
    (reason,) = result(load, programs)["reasons"]
    assert reason.startswith("sh ended with 7")
    assert reason.endswith("no such user")


def test_what_prints_without_end_fills_no_disk(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is kept, and nothing else; a check that does not end is ended, and has failed, whatever it makes of the signal."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    noisy = "i=0; while [ $i -lt 30000 ]; do echo a line of garbage; i=$((i+1)); done; touch done; exec sleep 600"
    with ProgramLoad(programs, split(f"sh -c '{noisy}'")) as load:
        wait_until((tmp_path / "done").is_file, what="it has printed")
        opened = {os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()}
        assert not [file for file in opened if file.startswith(str(tmp_path))]  # deleted ones, too
    assert {*result(load, programs)["output"].splitlines()} == {"a line of garbage"}  # whole lines: no half of a password
    assert len(result(load, programs)["output"]) <= 4000
    with Conninfo.from_options(programs.url, "test").session() as conn:
        checks = CheckObserver(conn, programs, ["sh -c 'trap \"exit 0\" TERM; echo begun; sleep 600 & wait'"], 1.0, print)
        checks.at("before")
    assert (checks.runs[0].code, checks.runs[0].output) == (-15, "begun")
    assert [r.text.split("'")[-1] for r in checks.reasons()] == [" was ended after 1 s, before"]


def test_a_program_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "suite").touch(0o755)
    refuse_program("./suite --fast", tmp_path)
    for command, said in (("./no-suite", "There is no program"), ("night.sql", "There is no script"), ("'", "is no command")):
        with pytest.raises(UsageError, match=said):
            refuse_program(command, tmp_path)
