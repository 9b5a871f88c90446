"""(b) The cost of capture for the application: pgbench's single-row updates with swap's triggers on users and without.

The triggers of one database are enabled and disabled in turn. Then the same on a server with fsync, where a commit waits for the
disk.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import SETTINGS, STATE, USERS, CommandFailedError, Example, Setting
from swap.core.names import parse_table
from swap.demo.server import Server

CLIENTS, THREADS = 4, 2
SECONDS = {False: 5, True: 2}  # by --quick
SCRIPT = """\
\\set id random(1, :users)
UPDATE users SET login_count = login_count + 1 WHERE id = :id;
"""


def measure(setting: Setting) -> list[Row]:
    target = Target("at least", 0.90)
    rows = [_compare(setting, "fsync = off", target)]
    with durable(setting) as slow:
        rows.append(_compare(slow, "fsync and synchronous_commit on", target))
    return rows


@contextmanager
def durable(setting: Setting) -> Iterator[Setting]:
    """The same on a server that waits for its disk. The disk is the limit there, so a tenth of the rows is enough."""
    settings = SETTINGS | {"synchronous_commit": "on"}
    with Server.start("18", settings, durable=True, tcp=True) as server:
        yield Setting(server, setting.directory, max(setting.users // 10, 10_000), setting.quick)


def _compare(setting: Setting, durability: str, target: Target) -> Row:
    repetitions = setting.repetitions(9, 3)
    rates: dict[bool, list[float]] = {True: [], False: []}
    script = setting.directory / "update.sql"
    script.write_text(SCRIPT.replace(":users", str(setting.users)), encoding="utf-8")
    with setting.example("b", setting.users, references=False) as example:
        example.swap("prepare")
        triggers = [(table, name) for table, name in swap_triggers(example) if table == str(USERS)]
        for n in range(-1, repetitions):  # the first pair warms up and is not counted
            for on in (True, False) if n % 2 == 0 else (False, True):
                switch(example, triggers, on=on)
                rate = pgbench(setting, example, script)
                if n >= 0:
                    rates[on].append(rate)
            setting.say(f"  {durability}: pair {n + 1} of {repetitions}")
    what = f"pgbench updates with capture on / off, {durability}, {CLIENTS} clients, {setting.users:,} users"
    raw = f"on {series(rates[True], ' tps', 0)}, off {series(rates[False], ' tps', 0)}"
    return Row("b", what, pairwise_ratio(rates[True], rates[False]), raw, target)


def swap_triggers(example: Example) -> list[tuple[str, str]]:
    """The tool's triggers on the application's tables: (table, trigger)."""
    rows = example.execute(
        sql.SQL(
            "SELECT n.nspname || '.' || c.relname, t.tgname::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
            " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE p.pronamespace = {s}::regnamespace AND n.nspname <> {s}"
        ).format(s=sql.Literal(STATE))
    )
    if not rows:
        raise CommandFailedError("prepare left no trigger: there is nothing to measure")
    return [(table, name) for table, name in rows]


def switch(example: Example, triggers: list[tuple[str, str]], *, on: bool) -> None:
    """Enable or disable the triggers; then make the same start for both sides: no dead rows, an empty queue, nothing to flush."""
    alter = sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}" if on else "ALTER TABLE {} DISABLE TRIGGER {}")
    queues = example.execute(
        sql.SQL(
            "SELECT relname::text FROM pg_class WHERE relnamespace = {}::regnamespace AND relkind = 'r'"
            " AND relname ~ '_changes_([0-9]+_)?[01]$'"
        ).format(sql.Literal(STATE))
    )
    example.execute(
        *(alter.format(parse_table(table).sql, sql.Identifier(t)) for table, t in triggers),
        sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(sql.Identifier(STATE, q) for (q,) in queues)),
        sql.SQL("VACUUM {}").format(sql.SQL(", ").join(parse_table(t).sql for t in sorted({table for table, _ in triggers}))),
        sql.SQL("CHECKPOINT"),
    )


def pgbench(setting: Setting, example: Example, script: Path, clients: int = CLIENTS) -> float:
    """Transactions per second."""
    command = [
        str(setting.server.bindir / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(THREADS, clients)),
        "-T", str(SECONDS[setting.quick]), "-f", str(script), example.owner,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=example.environment)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise CommandFailedError(f"pgbench ended with {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
    return float(found.group(1))
