"""SIGKILL, and a crash of the server, after statement after statement of every command; then the command again: what it
ends in is what it ends in undisturbed (I4, H37, H44).

A few statements are tried; `make faults` tries each, or with SLICE=2/7 every seventh from the second on, so that a
long run can be divided. The role sees other sessions' snapshots, so reads across the exchanges are exact (H70), unless READS=fast.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.commands import Cli, CliResult, RunningCli
from tests.support.dump import schema_dump
from tests.support.migration import ROLES, install
from tests.support.mode import REQUESTED, toml_with_mode
from tests.support.servers import Database, DatabaseServer
from tests.support.stages import Stages
from tests.support.told import Tell
from tests.support.waiting import wait_until

SLICE = os.environ.get("SWAP_FAULTS_SLICE", "")
READS = os.environ.get("SWAP_FAULTS_READS") or "exact"
FIRST, EVERY = map(int, SLICE.split("/")) if SLICE else (1, 29)
CRASH_EVERY = EVERY if SLICE else 4 * EVERY  # a crash costs more than a kill
WANDERING = 60 if REQUESTED == "logical" else 10
"""How many statements depend on the clock: polls of control flags, of replicas; with a stream, how many chunks it comes in."""

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, uuid_id uuid UNIQUE, email text NOT NULL UNIQUE,
    inviter_id bigint REFERENCES users, n integer);
CREATE INDEX users_inviter ON users (inviter_id);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, user_uuid_id uuid);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE TABLE roles (user_id bigint REFERENCES users, role text, PRIMARY KEY (user_id, role));
CREATE VIEW active AS SELECT id, email FROM users WHERE n > 0;
INSERT INTO users (email, inviter_id, n, uuid_id)
    SELECT 'user' || n, nullif(n / 2, 0), n % 3, CASE WHEN n % 2 = 0 THEN gen_random_uuid() END FROM generate_series(1, 60) n;
INSERT INTO sessions (user_id) SELECT n FROM generate_series(1, 40) n;
INSERT INTO roles SELECT n, 'admin' FROM generate_series(1, 20) n;
"""
BEFORE = """
UPDATE users SET n = 7 WHERE id = 3;
UPDATE users SET id = -59 WHERE id = 59;
DELETE FROM users WHERE id = 60;
INSERT INTO users (email, n) VALUES ('late', 1);
"""
AFTER = """
UPDATE users SET n = 8 WHERE email = 'user5';
DELETE FROM users WHERE email = 'user58';
INSERT INTO users (email, n) VALUES ('later', 1);
INSERT INTO sessions (user_id) SELECT id FROM users WHERE email = 'later';
"""
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Command:
    """A command, the stage it starts from, and what is run after it before the end state is looked at."""

    args: tuple[str, ...]
    stage: str
    then: tuple[str, ...] = ()


COMMANDS = {
    "prepare": Command(("prepare",), "start"),
    "sync": Command(("sync", "--once", "--jobs", "1"), "prepared"),
    "verify": Command(("verify",), "synced"),
    "cutover": Command(("cutover", "--yes", "--no-snapshot"), "verified", ("sync", "--once")),
    "revert": Command(("revert", "--yes"), "cut", ("sync", "--once")),
    "finalize": Command(("finalize", "--yes", "--drop-legacy"), "cut"),
    "abort": Command(("abort", "--yes"), "verified"),
}
STAGES: dict[str, tuple[str, ...]] = {
    "start": (),
    "prepared": ("prepare", BEFORE),
    "synced": ("sync --once",),
    "verified": ("verify",),
    "cut": ("cutover --yes --no-snapshot", AFTER, "sync --once", "verify"),
}


class Matrix:
    """Databases in every stage, as templates, and one command at a time on a copy."""

    def __init__(self, cli: Cli, server: DatabaseServer, stages: Stages, database: Database, directory: Path) -> None:
        self.cli, self.server, self.stages, self.database = cli, server, stages, database
        self.config, self.count, self.held = directory / "swap.toml", directory / "count", directory / "held"
        self.config.write_text(
            toml_with_mode('[source]\ntable = "public.users"\n[sync]\njobs = 1\n' + f'[cutover]\nreads = "{READS}"\n')
        )

    def copy(self, stage: str) -> Database:
        """The test's database, anew, as it is in `stage`."""
        self.stages.fill(self.database, self.build(stage))
        return self.database

    def build(self, stage: str) -> str:
        """The template of a stage, and of those before it."""
        template = "template0"
        for name, steps in STAGES.items():
            template = self.stages.template(("matrix", name), template, partial(self._bring_to, name, steps))
            if name == stage:
                return template
        raise AssertionError(stage)

    def _bring_to(self, stage: str, steps: tuple[str, ...], db: Database) -> None:
        if stage == "start":
            install(db, SCHEMA)
        for step in steps:
            if step in (BEFORE, AFTER):
                with closing(psycopg.connect(db.app, autocommit=True)) as conn:
                    conn.execute(step.encode())
            else:
                self.run(db, *step.split())

    def run(self, db: Database, *args: str, check: bool = True, failpoint: str = "") -> CliResult:
        env = {"SWAP_FAILPOINT": failpoint} if failpoint else {}
        return self.cli(*args, "--json", config=self.config, dsn=db.owner, check=check, env=env)

    def end_state(self, db: Database, command: Command) -> dict[str, Any]:
        """Everything that must not depend on a fault: schema, rows with uuids by whose they are, journal, leftovers."""
        if command.then:
            self.run(db, *command.then)
        state: dict[str, Any] = {"schema": schema_dump(self.server, db.dbname)}
        status = self.run(db, "status").json
        state |= {k: status[k] for k in ("phase", "direction", "pending_changes")}
        with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
            names = [r[0] for r in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
            whose: dict[str, str] = {}
            for table in ("users", "users_new", "users_old"):
                if table in names:
                    rows = conn.execute(sql.SQL("SELECT to_jsonb(t), email FROM {} t").format(sql.Identifier("public", table)))
                    for row, email in rows:
                        whose |= {u: email for v in (row.get("uuid_id"), row.get("id")) if UUID.fullmatch(u := str(v))}
            for table in names:
                found = conn.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier("public", table)))
                state[table] = sorted(UUID.sub(lambda m: whose.get(m[0], "?"), r[0]) for r in found)
            state["invalid"] = conn.execute(
                "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid OR NOT indisready"
            ).fetchall()
            state["kept"] = conn.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('swap') AND relkind IN ('r', 'S')"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('swap') ORDER BY 1"
            ).fetchall()
            state["steps"] = conn.execute("SELECT DISTINCT name FROM swap.step ORDER BY 1").fetchall()
            state["capture"] = conn.execute(
                "SELECT 'slot' FROM pg_replication_slots WHERE database = current_database()"
                " UNION ALL SELECT 'publication ' || pubname FROM pg_publication ORDER BY 1"
            ).fetchall()
            state["unfinished"] = conn.execute("SELECT part, number FROM swap.chunk WHERE rows IS NULL").fetchall()
        return state

    def undisturbed(self, name: str) -> tuple[int, dict[str, Any]]:
        """How many statements the command sends, and what it ends in."""
        command = COMMANDS[name]
        db = self.copy(command.stage)
        self.run(db, *command.args, failpoint=f"count:{self.count}")
        return int(self.count.read_text()), self.end_state(db, command)

    def reached(self, running: RunningCli) -> bool:
        """Whether the command waits at its failpoint; False when it ended before."""
        wait_until(lambda: self.held.exists() or running.process.poll() is not None, 30, "the failpoint")
        return self.held.exists()

    def again(self, db: Database, command: Command) -> None:
        """The same command: done, or nothing left to do in the phase it has led to."""
        result = self.run(db, *command.args, check=False)
        assert result.code in (0, 8), result


@pytest.fixture
def matrix(cli: Cli, server: DatabaseServer, stages: Stages, database: Database, tmp_path: Path) -> Iterator[Matrix]:
    for text in (ROLES, "GRANT pg_read_all_stats TO swap_owner"):
        _as_superuser(database, text)
    yield Matrix(cli, server, stages, database, tmp_path)
    _as_superuser(database, "REVOKE pg_read_all_stats FROM swap_owner")


def _as_superuser(db: Database, text: str) -> None:
    with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
        conn.execute(text.encode())


def points(last: int, every: int) -> list[int]:
    return sorted({*range(FIRST, last + 1, every), *([] if SLICE else [last])})


@pytest.mark.sampled(3)
@pytest.mark.timeout(0 if SLICE else 240)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_after_any_statement(matrix: Matrix, tell: Tell, name: str) -> None:
    command = COMMANDS[name]
    last, expected = matrix.undisturbed(name)
    tried = points(last, EVERY)
    for n in tried:
        db = matrix.copy(command.stage)
        killed = matrix.run(db, *command.args, check=False, failpoint=f"kill:{n}")
        if killed.code == 0 and n > last - WANDERING:
            continue
        assert killed.code == -signal.SIGKILL, (n, killed)
        matrix.again(db, command)
        assert matrix.end_state(db, command) == expected, f"killed after statement {n} of {last}"
    tell(f"{name}: {len(tried)} of {last} statements, killed after each")


@pytest.mark.sampled(3)
@pytest.mark.timeout(0 if SLICE else 240)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_server_crashes_after_any_statement(matrix: Matrix, tell: Tell, name: str) -> None:
    """Immediate shutdown. The command says that the server is gone, or that an outcome is not known; a verification that it
    did not finish. Never anything else."""
    command = COMMANDS[name]
    last, expected = matrix.undisturbed(name)
    tried = points(last, CRASH_EVERY)
    for n in tried:
        db = matrix.copy(command.stage)
        # A sequence writes 32 numbers ahead into the WAL, and CREATE DATABASE copies its page without them: a crash before the next
        # checkpoint would take it back behind rows that are there (seen on 18: duplicate keys of the journal).
        matrix.stages.admin(sql.SQL("CHECKPOINT"))
        running = matrix.cli.start(
            *command.args, "--json", config=matrix.config, dsn=db.owner, env={"SWAP_FAILPOINT": f"hold:{n}:{matrix.held}"}
        )
        if not matrix.reached(running) and n > last - WANDERING:
            continue
        matrix.server.crash()
        matrix.server.restart()
        matrix.held.unlink()
        result = running.wait()
        rolled_back = result.code == 4 and "was rolled back" in result.json["error"]["message"]  # it crashed at COMMIT
        assert rolled_back or result.code in ((0, 5, 9) if name == "verify" else (0, 7, 9)), (n, result)
        matrix.again(db, command)
        assert matrix.end_state(db, command) == expected, f"crashed after statement {n} of {last}"
    tell(f"{name}: {len(tried)} of {last} statements, the server crashed after each")
