"""(e) Time under lock: cutovers and reverts of the whole example under load, with a tenth of the rows by either capture, and with all of
them by triggers; then by the number of references (bench.e_tables).

A verification comes before each, since its gate needs one, and `swap sync` runs beside it, as in production. At the end every
acknowledged write must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from psycopg import sql

from bench import e_tables
from bench.result import Row, Target, series
from bench.setting import CommandFailedError, Example, Setting, sizes
from swap.demo.app import OWNER
from swap.demo.load import Load, check

WORKERS, RATE = 4, 300.0
BETWEEN = 150  # transactions of the load from one exchange to the next
SAME = 1.25  # what still counts as the same at both sizes, on a machine that does other things too


@dataclass
class Exchanges:
    """The numbers that the commands reported."""

    locked_ms: dict[str, list[float]] = field(default_factory=lambda: {"cutover": [], "revert": []})
    attempts: list[float] = field(default_factory=list)
    blocked: int = 0
    drained: list[float] = field(default_factory=list)
    stall_ms: float = 0.0
    acknowledged: int = 0
    tables: str = ""

    @property
    def all_ms(self) -> list[float]:
        return [*self.locked_ms["cutover"], *self.locked_ms["revert"]]


def measure(setting: Setting) -> Iterator[Row]:
    medians = []
    small, large = setting.users // 10, setting.users
    for users, mode, target in ((small, "trigger", 60), (small, "logical", 100), (large, "trigger", 60)):
        x = _exchanges(setting, users, mode)
        raw = (
            f"cutover {series(x.locked_ms['cutover'], ' ms', 0)}, revert {series(x.locked_ms['revert'], ' ms', 0)},"
            f" longest {max(x.all_ms):.0f} ms, attempts {series(x.attempts, '', 0)}, at most {x.blocked} sessions waited,"
            f" keys drained under the lock {series(x.drained, '', 0)};"
            f" {x.acknowledged:,} writes acknowledged and all there, longest stall {x.stall_ms:.0f} ms; {x.tables}"
        )
        what = f"locked_ms of {len(x.all_ms)} exchanges under load, mode {mode}, {users:,} users"
        yield Row("e", what, median(x.all_ms), raw, Target("at most", target), " ms", 0)
        medians.append(median(x.all_ms))
    raw = f"{medians[2]:.1f} ms / {medians[0]:.1f} ms; up to {SAME:g} counts as the same"
    yield Row("e", "locked_ms at all rows / at a tenth of them", medians[2] / medians[0], raw, Target("at most", SAME))
    yield from e_tables.measure(setting)


def _exchanges(setting: Setting, users: int, mode: str) -> Exchanges:
    found = Exchanges()
    rounds = setting.repetitions(10, 3)
    with setting.example("e", users, references=True) as example:
        found.tables = sizes(example)
        example.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(sql.Identifier(OWNER)))
        example.swap("prepare", "--mode", mode)
        setting.say(f"  building the shadow of {users:,} users, mode {mode}")
        example.swap("sync", "--once")
        with Load(example.app, workers=WORKERS, rate=RATE) as load:
            with example.syncing():
                for n in range(rounds):
                    for kind in ("cutover", "revert"):
                        _exchange(example, load, kind, found)
                    setting.say(f"  {users:,} users: cutover and revert {n + 1} of {rounds}")
            stats = load.stop()
            report = check(example.superuser, load)
    if stats.errors or not report.ok:
        raise CommandFailedError(f"writes were lost: {stats.errors[:3]} {report.details[:3]}")
    found.stall_ms, found.acknowledged = stats.longest_stall_ms, stats.acknowledged
    return found


def _exchange(example: Example, load: Load, kind: str, found: Exchanges) -> None:
    example.swap("verify", "--jobs", "2")
    extra = ["--no-snapshot"] if kind == "cutover" else []
    done = example.swap(kind, "--yes", *extra).document
    found.locked_ms[kind].append(done["locked_ms"])
    found.attempts.append(done["attempts"])
    found.drained.append(done["drained_changes"])
    found.blocked = max(found.blocked, done["blocked_sessions_max"])
    load.wait_for(BETWEEN, timeout=120)
