"""What `swap status` promises is true at that moment: progress, the worker, drift, gates, and the command to run now (I13)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swap.cli.output import Size
from swap.cli.status import EMPTY
from swap.cli.status_lines import fitted, status_lines
from swap.core.sql_text import verbatim
from swap.prepare.drift import drift, drift_lines
from swap.prepare.undo import with_undo
from swap.state.chunks import Chunk
from swap.state.journal import Phase
from swap.state.worker import Worker
from tests.support.commands import Cli
from tests.support.migration import Migrate, migrations
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

WHERE = {"source": "public.users", "database": "app", "time": "2026-01-01T02:00:00+00:00", "next": "swap sync", "next_why": "why"}
SERVER = {"host": "db1", "port": 5432, "version": "18.1", "standby": False}


def test_from_nothing_to_a_revert(operator: MakeOperator, connect: Connect) -> None:
    """Every stage says who works, what is done, what is possible, and what to run; running that leads on to the end."""
    op = operator("fresh", users=200)
    admin = connect(op.db.superuser)
    told = op.status()
    assert (told["phase"], told["next"], told["source_exists"], told["database"]) == ("none", "swap doctor", True, op.db.dbname)
    op("prepare")
    told = op.status()
    assert (told["worker"]["running"], told["next"]) == (False, "swap sync")
    assert {t["state"] for t in told["tables"]} == {"prepared"}
    assert told["backfill"]["percent"] == 0.0
    op("sync", "--once")
    told = op.status()
    assert (told["cutover"]["possible"], told["next"]) == (False, "swap verify")
    assert {(t["state"], t["percent"]) for t in told["tables"]} == {("in sync", 100.0)}
    assert told["tables"][0]["rows_copied"] == 200
    op("verify")
    told = op.status()
    assert (told["cutover"]["possible"], told["revert"]["possible"], told["next"]) == (True, False, "swap cutover")
    assert told["verification"]["rows"] >= 200

    admin.execute("ALTER TABLE public.users ADD shoe integer")
    told = op.status()
    assert told["cutover"]["possible"] is False
    undo = [d["undo"] for d in told["drift"] if d["undo"]]
    assert undo == ["ALTER TABLE public.users DROP COLUMN IF EXISTS shoe"]
    admin.execute(verbatim(undo[0]))
    told = op.status()
    assert (told["drift"], told["cutover"]["possible"]) == ([], True)

    outcome = op("cutover", "--yes", "--no-snapshot").json
    told = op.status()
    assert told["last_attempt"]["locked_ms"] == outcome["locked_ms"] > 0
    assert told["last_attempt"]["outcome"] == "committed"
    assert (told["phase"], told["cutover"]["possible"], told["next"]) == ("cut_over", False, "swap sync")
    assert told["drift"] == []


def test_a_worker_at_work_and_one_that_died(ready_operator: MakeOperator, connect: Connect) -> None:
    """Given a `sync` that is killed, then status says so, and how much waits; while it ran, pid, machine, rates and why it held."""
    op = ready_operator()
    running = op.start("sync")
    wait_until(lambda: op.status()["worker"]["running"], what="the worker")
    app = connect(op.db.superuser)
    app.execute("UPDATE users SET login_count = login_count + 1")
    told = op.status()
    worker = told["worker"]
    assert (worker["command"], worker["host"]) == (
        "swap sync",
        "local" if told["server"]["host"].startswith("/") else worker["host"],
    )
    assert worker["doing"]
    assert worker["since"] <= told["time"]
    assert told["replay"]["per_s"] is not None
    op("pause")
    wait_until(lambda: op.status()["throttle"], what="the reason")
    told = op.status()
    assert "swap resume" in told["throttle"]
    assert told["next"] == "swap resume"
    running.process.kill()
    running.wait()
    wait_until(lambda: not op.status()["worker"]["running"], what="the end of the worker's session")
    op("resume")
    app.execute("UPDATE users SET login_count = login_count + 1")
    told = op.status()
    assert (told["worker"]["pid"], told["throttle"]) == (None, None)
    if told["mode"] == "trigger":
        assert (told["pending_changes"] > 0, told["next"]) == (True, "swap sync")
    assert any(line.startswith("worker     NOT RUNNING") for line in status_lines(told))


def test_progress_of_a_copy_under_way(migrate: Migrate, database: Database, cli: Cli, tmp_path: Path) -> None:
    """Given a copy that was killed in its second range, then status counts the first, and not more."""
    m = migrate(
        database, "CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 12000)"
    )
    m.prepare()
    m.journal.move(m.run, Phase.BACKFILLING)
    for chunk in (Chunk(1, 1, 5000), Chunk(2, 5001, 10000)):
        m.journal.chunks.claim(m.run.id, "users", chunk)
    m.journal.chunks.finish(m.run.id, "users", 1, 5000)
    config = tmp_path / "swap.toml"
    config.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    told = cli("status", "--json", config=config, dsn=database.owner).json
    (table,) = told["tables"]
    assert (table["state"], table["rows_copied"], table["percent"]) == ("copying", 5000, round(100 * 5000 / 12000, 1))
    assert (told["backfill"]["percent"], told["next"]) == (table["percent"], "swap sync")
    assert (told["indexes"]["built"], told["indexes"]["total"] > 0) == (0, True)
    assert "copying, 42 % of about 12,000 rows" in cli("status", config=config, dsn=database.owner).stdout


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["swap sync (public.users)", "swap sync (public.users)"], ["backfill of public.users (2 sessions)"]),
        (["swap sync (index users_pkey)", "swap sync (waits)"], ["building index users_pkey"]),
        (["swap sync (public.users planner)", "swap sync (capture)"], []),
    ],
)
def test_what_a_worker_does_is_told_by_its_sessions(names: list[str], said: list[str]) -> None:
    assert Worker(1, "swap sync", "local", None, False, tuple(names), ()).tasks() == said


def test_a_table_that_is_not_there(database: Database, cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "swap.toml"
    config.write_text('[source]\ntable = "public.nobody"\n', encoding="utf-8")
    told = cli("status", "--json", config=config, dsn=database.owner).json
    assert (told["source_exists"], told["next"]) == (False, None)
    assert "there is no table public.nobody" in cli("status", config=config, dsn=database.owner).stdout


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


COLUMN = "column email text{} default={} identity= generated= acl="
INDEX = "index CREATE UNIQUE INDEX {0} ON public.users USING btree (email) valid=t"
TRIGGER = "trigger CREATE TRIGGER t AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION f() enabled={}"
TABLE = "table owner=o kind=r rls={}/f options= replident=d"


@pytest.mark.parametrize(
    ("lines", "undo"),
    [
        ([("+", INDEX.format('"A b"'))], ['DROP INDEX IF EXISTS public."A b"']),
        ([("-", INDEX.format("a"))], ["CREATE UNIQUE INDEX a ON public.users USING btree (email)"]),
        ([("+", INDEX.format("a")), ("+", "constraint a UNIQUE (email) valid=t")], ["ALTER TABLE public.users DROP CONSTRAINT IF EXISTS a"]),
        ([("-", "constraint c CHECK ((id > 0)) valid=t")], ["ALTER TABLE public.users ADD CONSTRAINT c CHECK ((id > 0))"]),
        ([("-", COLUMN.format("", ""))], []),
        (
            [("-", COLUMN.format(" NOT NULL", "'x'::text")), ("+", COLUMN.format("", ""))],
            [
                "ALTER TABLE public.users ALTER COLUMN email SET NOT NULL; ALTER TABLE public.users ALTER COLUMN email SET DEFAULT 'x'::text"
            ],
        ),
        ([("-", TRIGGER.format("A")), ("+", TRIGGER.format("D"))], ["ALTER TABLE public.users ENABLE ALWAYS TRIGGER t"]),
        ([("-", TABLE.format("f")), ("+", TABLE.format("t"))], ["ALTER TABLE public.users DISABLE ROW LEVEL SECURITY"]),
        ([("+", "grant app=r/o")], []),
    ],
)  # fmt: skip
def test_what_undoes_a_change(lines: list[tuple[str, str]], undo: list[str]) -> None:
    assert [d.undo for d in with_undo((sign, "public.users", line) for sign, line in lines) if d.undo] == undo


def test_undoing_sql_is_true(database: Database, migrate: Migrate, connect: Connect) -> None:
    """Given changes of many kinds, then running what status shows leaves no drift."""
    ddl = (
        "CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL DEFAULT 'x', n int); CREATE INDEX n_idx ON users (n);"
    )
    ddl += " CREATE TABLE t (id bigserial PRIMARY KEY, user_id bigint REFERENCES users (id) ON DELETE CASCADE)"
    m = migrate(database, ddl).synced()
    admin = connect(database.superuser)
    changes = [
        "ALTER TABLE users ADD shoe int CHECK (shoe > 0)", "DROP INDEX n_idx", "CREATE UNIQUE INDEX e ON users (email)",
        "ALTER TABLE users ALTER email DROP NOT NULL, ALTER email DROP DEFAULT", "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON users USING (true)", "ALTER TABLE t DROP CONSTRAINT t_user_id_fkey", "ALTER TABLE t ADD UNIQUE (user_id)",
    ]  # fmt: skip
    for change in changes:
        admin.execute(verbatim(change))
    assert len(drift(m)) >= len(changes)
    for found in with_undo(drift_lines(m)):
        if found.undo:
            admin.execute(verbatim(found.undo))
    assert drift(m) == []


def test_one_screen_whatever_its_size() -> None:
    """A run of forty tables on 80x24 and on 40x20: no line is too long, no word is cut, and what matters is there."""
    tables = [
        {
            "name": f"public.orders_{n}", "rows_copied": n, "rows_estimate": 1000, "state": "copying" if n == 7 else "copied", "percent": 50.0,
            "rows_per_s": 10.0, "eta_s": 60,
        }
        for n in range(40)
    ]  # fmt: skip
    worker: dict[str, Any] = {"running": False, "command": None, "pid": None, "host": None, "since": None, "doing": []}
    drift = [{"change": "+", "table": "public.users", "line": f"column c{n} integer", "undo": f"DROP {n}"} for n in range(9)]
    d = EMPTY | WHERE | {
        "server": SERVER, "run_id": "1", "phase": "backfilling", "mode": "trigger", "tables": tables, "worker": worker, "drift": drift,
        "backfill": {"percent": 50.0, "rows_per_s": 10.0, "eta_s": 60}, "indexes": {"built": 1, "total": 80}, "replay": {},
    }  # fmt: skip
    for size in (Size(80, 24), Size(40, 20), Size(120, 50)):
        assert size.columns is not None
        assert size.rows is not None
        shown = fitted(d, size)
        assert max(map(len, shown)) <= size.columns
        assert len(shown) < size.rows
        text = " ".join(" ".join(shown).split())
        for needed in ("NOT RUNNING", "orders_7", "c0", "swap sync", "50 %", "more"):
            assert needed in text, (size, needed)
        words = {w for line in status_lines(d) for w in line.split()} | {"…", "and", "more", "(`swap", "status`", "shows", "all)"}
        assert {w for w in text.split() if not re.fullmatch(r"\d+", w)} <= words
    assert len(fitted(d, Size())) == len(status_lines(d))
