"""Bad input: the exit code of CLI.md, three lines, nothing changed, no traceback, no driver error, no password."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.commands import Cli
from tests.support.dump import schema_dump
from tests.support.judging import SECRET, judge
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Database, DatabaseServer

COMMANDS = ["init", "doctor", "plan", "prepare", "sync", "verify", "cutover", "revert", "finalize", "abort"]
COMMANDS += ["status", "pause", "resume", "demo"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    return path


def test_unknown_table(cli: Cli, database: Database, config: Path) -> None:
    result = cli("doctor", config=config, dsn=database.superuser, check=False)
    assert "no table public.users" in judge(result, 2)


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["prepare"], ["sync"], ["verify"], ["cutover", "--yes"]])
def test_unreachable_server(cli: Cli, config: Path, command: list[str]) -> None:
    dsn = f"postgresql://someone:{SECRET}@127.0.0.1:1/nowhere"
    judge(cli(*command, config=config, dsn=dsn, check=False), 9)


def test_wrong_password(cli: Cli, database: Database, config: Path) -> None:
    dsn = make_conninfo(database.superuser, user="nobody_of_that_name", password=SECRET)
    judge(cli("status", config=config, dsn=dsn, check=False), 9)


def test_malformed_dsn(cli: Cli, config: Path) -> None:
    judge(cli("status", config=config, dsn=f"postgresql://x:{SECRET}@[::1/", check=False), 2)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[source]\ntable = "public.users"\nkye = "id"\n', ["line 3", "source.kye", "key, legacy_overflow, table"]),
        ('[source]\ntable = "public.users"\n[sync]\njobs = "many"\n', ["line 4", "sync.jobs", "integer"]),
        ('[source]\ntable = "public.users"\n[sync]\njobs = 0\n', ["line 4", "sync.jobs", "1"]),
        ('[source]\ntable = "public.users"\n[sync]\nmode = "magic"\n', ["sync.mode", "trigger", "logical"]),
        ('[source\ntable = "public.users"\n', ["not valid TOML"]),
        ("[sync]\njobs = 1\n", ["source", "missing"]),
        ('[source]\ntable = "a.b.c"\n', ["source.table", "schema.table"]),
    ],
)
def test_configuration_errors_name_key_line_and_what_is_allowed(cli: Cli, tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    message = judge(cli("status", config=path, dsn="dbname=x", check=False), 2)
    for name in names:
        assert name in message


def test_no_configuration(cli: Cli, database: Database) -> None:
    assert "swap.toml" in judge(cli("status", dsn=database.superuser, check=False), 2)


def test_unknown_command_and_option(cli: Cli) -> None:
    judge(cli("migrate", check=False), 2)
    judge(cli("sync", "--quickly", check=False), 2)
    judge(cli("sync", "--jobs", "none", check=False), 2)


def test_table_without_a_primary_key(cli: Cli, database: Database, config: Path) -> None:
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute("CREATE TABLE users (id bigint)")
    message = judge(cli("prepare", config=config, dsn=database.superuser, check=False), 3)
    assert "key" in message


def test_foreign_state_schema(cli: Cli, database: Database, config: Path) -> None:
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute("CREATE TABLE users (id bigserial PRIMARY KEY); CREATE SCHEMA swap; CREATE TABLE swap.mine ()")
    message = judge(cli("prepare", config=config, dsn=database.superuser, check=False), 3)
    assert "swap" in message
    found = cli("doctor", "--json", config=config, dsn=database.superuser, check=False)
    assert found.code == 3
    (state,) = [c for c in found.json["checks"] if c["name"] == "state-schema"]  # one among the others
    assert (state["status"], state["object"]) == ("blocker", "swap")
    assert {"key", "identity"} <= {c["name"] for c in found.json["checks"]}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sync"], 8), (["verify"], 8), (["cutover", "--yes"], 8), (["revert", "--yes"], 8), (["finalize", "--yes"], 8),
        (["abort", "--yes"], 8), (["pause"], 8), (["resume"], 8),
    ],
)  # fmt: skip
def test_commands_before_prepare(operator: MakeOperator, server: DatabaseServer, command: list[str], code: int) -> None:
    op = operator()
    before = schema_dump(server, op.db.dbname)
    judge(op.cli(*command, config=op.config, dsn=op.db.owner, check=False), code)
    assert schema_dump(server, op.db.dbname) == before


@pytest.mark.slow
def test_every_phase_refuses_what_it_has_no_use_for(ready_operator: MakeOperator) -> None:
    """Done twice is done once, or exit code 8; and no hint names what is not possible either."""
    op = ready_operator()
    exchange = ("cutover", "--yes", "--no-snapshot")
    refused_in(op, "revert", "finalize")
    op(*exchange)
    assert "`swap revert` goes back" in refused_in(op, "cutover", "abort")
    op("verify")
    op("revert", "--yes")
    assert "yet" not in refused_in(op, "revert", "finalize")
    assert op.status()["revert"]["reason"] == "nothing is cut over"
    for _ in range(2):
        assert op("abort", "--yes").json["phase"] == "aborted"
    hints = refused_in(op, "sync", "verify", "cutover", "revert", "finalize", "pause", "resume")
    assert "swap prepare" in hints
    assert "swap sync" not in hints
    assert "swap cutover" not in hints

    op = ready_operator()
    op(*exchange)
    for _ in range(2):
        assert op("finalize", "--yes").json["phase"] == "finalized"
    hints = refused_in(op, "prepare", "sync", "verify", "cutover", "revert", "abort", "pause", "resume")
    assert "snapshot" in hints
    assert "swap revert" not in hints
    assert "swap sync" not in hints


def refused_in(op: Operator, *commands: str) -> str:
    """All hints, after each command was refused for its phase, which stayed."""
    phase = op.status()["phase"]
    asks = ("cutover", "revert", "finalize", "abort")
    hints = [op.refused(c, *(["--yes"] if c in asks else []), code=8)["hint"] for c in commands]
    assert op.status()["phase"] == phase
    return "\n".join(hints)


def test_asking_without_a_terminal_needs_yes(operator: MakeOperator) -> None:
    op = operator()
    op.ready()
    assert "--yes" in op.refused("cutover", "--no-snapshot", code=2)["hint"]
    assert op.status()["phase"] == "syncing"


def test_errors_are_one_json_document(cli: Cli, config: Path) -> None:
    result = cli("status", "--json", config=config, dsn="host=127.0.0.1 port=1", check=False)
    error = json.loads(result.stdout)["error"]
    assert (result.code, error["code"]) == (9, 9)
    assert set(error) == {"code", "message", "state", "hint"}


def test_help_has_an_example(cli: Cli) -> None:
    for command in COMMANDS:
        assert "Example: swap" in cli(command, "--help").stdout
