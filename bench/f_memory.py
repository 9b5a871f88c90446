"""(f) Peak memory of the process, with a tenth of the rows and with all of them: sync of the whole example, with a fifth of its users
changed since prepare, and verify by both methods."""

from __future__ import annotations

from psycopg import sql

from bench.result import Row, Target
from bench.setting import USERS, Setting, sizes

SAME = 1.10  # what still counts as not growing: ten times the rows
JOBS = ("--jobs", "2")
COMMANDS = {
    "sync --once": ("sync", "--once", *JOBS),
    "verify --method checksum": ("verify", "--method", "checksum", *JOBS),
    "verify --method exact": ("verify", "--method", "exact", *JOBS),
}


def measure(setting: Setting) -> list[Row]:
    small, large = setting.users // 10, setting.users
    found = {users: _peaks(setting, users) for users in (small, large)}
    rows = []
    for name in COMMANDS:
        peak, at_tenth = found[large][0][name], found[small][0][name]
        raw = f"{peak[0]:.1f} MiB in {peak[1]:.1f} s; with {small:,} users {at_tenth[0]:.1f} MiB in {at_tenth[1]:.1f} s; {found[large][1]}"
        rows.append(Row("f", f"peak memory of `swap {name}`, {large:,} users", peak[0], raw, Target("at most", 120), " MiB", 0))
        growth = peak[0] / at_tenth[0]
        raw = f"{peak[0]:.1f} MiB / {at_tenth[0]:.1f} MiB; up to {SAME:g} counts as not growing"
        rows.append(Row("f", f"peak memory of `swap {name}`, {large:,} / {small:,} users", growth, raw, Target("at most", SAME)))
    return rows


def _peaks(setting: Setting, users: int) -> tuple[dict[str, tuple[float, float]], str]:
    """MiB and seconds by command."""
    out = {}
    with setting.example("f", users, references=True) as example:
        example.swap("prepare")
        example.execute(sql.SQL("UPDATE {} SET login_count = login_count + 1 WHERE id % 5 = 0").format(USERS.sql))
        for name, args in COMMANDS.items():
            done = example.swap(*args, memory=True)
            out[name] = done.peak_mib, done.seconds
            setting.say(f"  {users:,} users, {name}: {done.peak_mib:.0f} MiB")
        return out, sizes(example)
