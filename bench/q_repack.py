"""(q) The time of a copy against that of pg_repack, on Debian's server where both are installed: users alone, with its indexes.

pg_repack copies the table beside itself, too, with a trigger and a log, builds its indexes and exchanges the files. The other side is
`prepare` and `sync --once`, which copy and index; both as processes, with their start, on one server with one job each.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import SETTINGS, STATE, USERS, CommandFailedError, Example, Meter, Setting, quiesce
from swap.demo.server import Server

DEBIAN = Path("/usr/lib/postgresql")
VERSIONS = ("18", "17", "16", "15")


def measure(setting: Setting) -> list[Row]:
    found = [v for v in VERSIONS if (DEBIAN / v / "bin" / "pg_repack").is_file()]
    if not found:
        setting.say(f"  no pg_repack in {DEBIAN}/*/bin: not measured")
        return []
    with Server.start(found[0], SETTINGS, tcp=True) as server:
        return [_compare(Setting(server, setting.directory, setting.users, setting.quick), found[0])]


def _compare(setting: Setting, version: str) -> Row:
    ours: list[Meter] = []
    theirs: list[Meter] = []
    program = DEBIAN / version / "bin" / "pg_repack"
    # A database for each: pg_repack leaves its mark in the options of the columns, which the new table would not have.
    with (
        setting.example("q", setting.users, references=False) as example,
        setting.example("q_repack", setting.users, references=False) as other,
    ):
        other.execute(sql.SQL("CREATE EXTENSION pg_repack"))
        for n in range(-1, setting.repetitions(5, 3)):  # the first pair warms up and is not counted
            for side in (ours, theirs) if n % 2 == 0 else (theirs, ours):
                meter = _swap(example) if side is ours else _repack(other, program)
                if n >= 0:
                    side.append(meter)
            setting.say(f"  pair {n + 1}")
    a, b = ([m.seconds for m in meters] for meters in (ours, theirs))
    processor = pairwise_ratio([m.cpu for m in ours], [m.cpu for m in theirs])
    raw = f"swap {series(a, ' s')}, pg_repack {series(b, ' s')}; processor time {processor:.2f}; PostgreSQL {version}"
    what = f"prepare + sync --once, jobs = 1, / pg_repack of the same table, {setting.users:,} users"
    return Row("q", what, pairwise_ratio(a, b), raw, Target("at most", 1.0))


def _swap(example: Example) -> Meter:
    quiesce(example)
    with example.metered() as meter:
        example.swap("prepare")
        example.swap("sync", "--once", "--jobs", "1")
    example.swap("abort", "--yes")
    example.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(STATE)))
    return meter


def _repack(example: Example, program: Path) -> Meter:
    quiesce(example)
    at = conninfo_to_dict(example.superuser)
    command = [str(program), "--no-order", "--table", str(USERS), "--dbname", str(at["dbname"])]
    command += ["--host", str(at["host"]), "--port", str(at["port"]), "--username", str(at["user"])]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    with example.metered() as meter:
        done = subprocess.run(command, env=kept, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailedError(f"pg_repack ended with {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
    return meter
