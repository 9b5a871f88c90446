"""(r) The prediction of a rehearsal beside what came: time, WAL and disk at three sizes, each predicted from the smallest.

Each size is a database of its own, and `swap rehearse --on` it is both the rehearsal and the night: the first run of its commands.
The smallest is rehearsed anew before each of the others, so that predicted and actual are of the same minutes. Times are also compared
as they would be on a machine that does nothing else: each command's time is divided by how slow the machine was meanwhile
(bench.slowness). The load and its WAL are in no figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.result import Row
from bench.setting import SMALL, Setting
from bench.slowness import Slowness, measuring
from swap.core.config import load_config
from swap.core.connection import Database
from swap.rehearse.clones import CloneOptions, Production
from swap.rehearse.prediction import AFTER_CUTOVER, Measured, predict
from swap.rehearse.run import BUILT_IN, Rehearser, Settings

FACTORS = (1, 2, 4)
DWELL_S = 5.0


def measure(setting: Setting) -> Iterator[Row]:
    smallest = setting.users // FACTORS[-1]
    for factor in FACTORS:
        small, large = rehearse(setting, smallest), rehearse(setting, smallest * factor)
        what = f"{smallest * factor:,} users, from {smallest:,}"
        yield from _times(what, [predict(a, large[0].here) for a in small], [predict(a, a.here) for a in large])
        predicted, actual = predict(small[0], large[0].here), predict(large[0], large[0].here)
        for name in ("wal_bytes", "disk_bytes"):
            p, a = predicted[name], actual[name]
            yield Row("r", f"{name.removesuffix('_bytes')}, {what}", p / a, f"{p / 1e6:.1f} MB predicted, {a / 1e6:.1f} MB taken")


def rehearse(setting: Setting, users: int, load: str = BUILT_IN) -> tuple[Measured, Measured]:
    """A rehearsal on a database with so many users: as it was, and as it would be on a machine of its own. Raises RuntimeError where it is
    no-go."""
    setting.say(f"  rehearsing {users:,} users")
    with (
        setting.example("original", SMALL, references=True) as original,
        setting.example("night", users, references=True) as night,
    ):
        settings = Settings(
            load_config(night.config), CloneOptions("on", on=night.owner), setting.directory, load=load, dwell_s=DWELL_S
        )
        rehearser = Rehearser(settings, Production.reached(Database.from_options(original.owner, "rehearse")), lambda _: None)
        with measuring(setting.directory / "slowness") as slowness:
            made, ended = rehearser.run(), time.time()
            if made.reasons or rehearser.measured is None:
                raise RuntimeError(f"the rehearsal is no-go: {made.reasons}")
            return rehearser.measured, _alone(rehearser.measured, slowness, ended - made.seconds)


def _alone(measured: Measured, slowness: Slowness, started: float) -> Measured:
    """Each command's times divided by the machine's slowness while it ran."""
    steps = []
    for s in measured.steps:
        slow = slowness.between(started + s.began_s, started + s.began_s + s.seconds)
        steps.append(replace(s, seconds=s.seconds / slow, work_s={t: x / slow for t, x in s.work_s.items()}))
    return replace(measured, steps=steps)


def _name(phase: dict[str, Any]) -> str:
    return str(phase["command"]).split(" --")[0] + (" after the cutover" if phase["note"] == AFTER_CUTOVER else "")


def _times(what: str, predicted: list[dict[str, Any]], actual: list[dict[str, Any]]) -> Iterator[Row]:
    """Of each command and of all: predicted over actual on a machine of its own; behind it, as it was."""
    shown = [[{_name(p): p for p in d["phases"]} for d in side] for side in (predicted, actual)]
    (as_it_was, alone), (was, were) = shown
    for command in as_it_was:
        p, a, p0, a0 = (d[command]["seconds"] for d in (alone, were, as_it_was, was))
        low, high = (alone[command][bound] for bound in ("low_s", "high_s"))
        raw = f"{p:.1f} s ({low:.1f} to {high:.1f}) predicted, {a:.1f} s taken, without other work; with it {p0:.1f} s and {a0:.1f} s"
        yield Row("r", f"time of `{command}`, {what}", p / a, raw + ("" if low <= a <= high else ": OUTSIDE"))
    p, a, p0, a0 = (sum(x["seconds"] for x in d["phases"]) for d in (predicted[1], actual[1], predicted[0], actual[0]))
    raw = f"{p:.1f} s predicted, {a:.1f} s taken, without other work; with it {p0:.1f} s and {a0:.1f} s"
    yield Row("r", f"time of all, {what}", p / a, raw)
