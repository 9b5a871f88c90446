"""`swap status --all`: the tables of a directory of configurations, in the order of its files: how far each is, the command to run now,
and which of them wait for another."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swap.cli.next_step import NAMED
from swap.cli.output import columns_of, emit_json, print_lines, wrapped
from swap.cli.session import active, opened
from swap.cli.status import read_status
from swap.core.config_directory import find_directory, load_directory
from swap.core.errors import UsageError
from swap.core.names import TableName
from swap.core.units import counted, duration
from swap.doctor.together import tables_of, tables_without_run

OVER = ("finalized", "aborted")
KEPT = ("phase", "direction", "run_id", "pending_changes", "paused", "source_exists", "database")


@dataclass(frozen=True)
class Table:
    """`document`: of `swap status`. `part`: the tables of its run, or those that it would have."""

    path: Path
    source: TableName
    document: dict[str, Any]
    part: frozenset[TableName]
    active: bool

    @property
    def done(self) -> bool:
        return str(self.document["phase"]) == "finalized"


def work(dsn: str | None, config: Path | None, *, alone: bool, as_json: bool) -> None:
    if alone:
        raise UsageError("--watch and --rehearsal show one table.", hint="Name its file with --config, and leave --all out.")
    directory = find_directory(config)
    rows = [_row(n, t, _before(n, tables), tables) for tables in [_read(dsn, directory)] for n, t in enumerate(tables)]
    if as_json:
        emit_json({"tables": rows, "next": next((r["next"] for r in rows if r["next"]), None)}, result=True)
    else:
        print_lines(list(_lines(rows)))


def _read(dsn: str | None, directory: Path) -> list[Table]:
    found = []
    for path, config in load_directory(directory):
        with opened("status", dsn, path) as s:
            run = s.run if s.run is not None and active(s.run) else None
            part = tables_of(run) if run is not None else tables_without_run(s.journal.conn, config)
            found.append(Table(path, config.source.name, read_status(s), frozenset(part), active=run is not None))
    return found


def _before(number: int, tables: list[Table]) -> Table | None:
    """Which table comes before this one: a run under way that has a table in common with it, or an earlier file that is not done."""
    own = tables[number]
    if own.active or own.done:
        return None
    others = [t for n, t in enumerate(tables) if t is not own and (t.active or (n < number and not t.done)) and t.part & own.part]
    return next(iter(sorted(others, key=lambda t: not t.active)), None)


def _row(number: int, t: Table, before: Table | None, tables: Iterable[Table]) -> dict[str, Any]:
    d = t.document
    common = min(map(str, before.part & t.part)) if before else None
    step, why = _with_config(d["next"], t.path), d["next_why"]
    if before is not None:
        step = None
        in_both = f"{common} takes part in both, and in one run at a time"
        why = f"it comes after {before.source}: {in_both}. Finalize or abort that one first"
    v = d["verification"]
    return {
        "source": str(t.source), "config": str(t.path), "order": number + 1, **{k: d[k] for k in KEPT},
        "worker_running": d["worker"]["running"] if d["worker"] else None,
        "verification": {"verdict": v["verdict"], "age_s": v["age_s"]} if v else None,
        "after": str(before.source) if before else None, "common_table": common,
        "beside": [str(o.source) for o in tables if o is not t and o.active and not o.part & t.part],
        "next": step, "next_why": why,
    }  # fmt: skip


def _with_config(command: str | None, path: Path) -> str | None:
    """`swap sync` becomes `swap sync --config swap.d/10-users.toml`: it can be run as it stands."""
    return f"{command} --config {shlex.quote(str(path))}" if command else None


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:

    columns, widest = columns_of(sys.stdout), max(len(r["source"]) for r in rows)
    for r in rows:
        head = f"{r['order']:>2} {r['source']:<{widest}}  "
        then = f"next: {r['next']}" if r["next"] else NAMED.sub(r"\1", r["next_why"])
        yield from wrapped(f"{head}{'; '.join([*_how_far(r), then])}", columns, len(head))


def _how_far(r: dict[str, Any]) -> Iterator[str]:
    if r["phase"] == "none":
        yield "nothing is prepared" if r["source_exists"] else f"there is no such table in {r['database']}"
        return
    yield f"{r['phase']} ({r['direction']}){', PAUSED' if r['paused'] else ''}"
    if r["phase"] in OVER:
        return
    if r["worker_running"] is False:
        yield "no `swap sync` runs"
    yield f"{counted(r['pending_changes'], 'change')} pending"
    if v := r["verification"]:
        yield f"{v['verdict']} {duration(v['age_s'])} ago"
