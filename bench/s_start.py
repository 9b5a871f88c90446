"""(s) Start-up: the processor time of `swap --help` and of `swap status` against the bare import of psycopg and SQLAlchemy.

`status` is asked of a run that is in sync: it reads its configuration, the journal, the plan and the catalog.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Mapping

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import CommandFailedError, Setting

USERS = 1000
BARE = ("-c", "import psycopg, sqlalchemy")
COMMANDS = {"swap --help": Target("at most", 0.5), "swap status": Target("at most", 1.5)}


def measure(setting: Setting) -> list[Row]:
    """The three take turns. The first turn counts for nothing: it writes the bytecode, which an installed package has."""
    programs = {"": BARE, **{command: ("-m", *command.split()) for command in COMMANDS}}
    spent_ms: dict[str, list[float]] = {name: [] for name in programs}
    with setting.example("s", USERS, references=True) as example:
        for command in ("prepare", "sync --once", "verify"):
            example.swap(*command.split())
        environment = {k: v for k, v in example.environment.items() if k != "PYTHONDONTWRITEBYTECODE"}
        for turn in range(1 + setting.repetitions(21, 5)):
            for name, args in programs.items():
                ms = 1000 * _processor_seconds(args, environment)
                if turn > 0:
                    spent_ms[name].append(ms)
    bare = series(spent_ms[""], " ms", 0)
    return [
        Row(
            "s", f"processor time of `{name}` / of `import psycopg, sqlalchemy`", pairwise_ratio(spent_ms[name], spent_ms[""]),
            f"{series(spent_ms[name], ' ms', 0)} / {bare}", target,
        )
        for name, target in COMMANDS.items()
    ]  # fmt: skip


def _processor_seconds(args: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """Of an interpreter that runs `args`, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(args)} ended with {done.returncode}\n{done.stderr}"[-4000:])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
