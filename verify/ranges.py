"""Key ranges that cover every integer: the first is open below, the last above, on both sides alike.

Cut points come from a sample of both tables' blocks. They only balance the work: whatever they are, the ranges
neither overlap nor leave a key out, and the rows seen in them are summed and compared with an independent count.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from psycopg import sql

from swap.core.connection import Connection
from swap.plan.direction import TableMapping
from verify.report import Method

ROWS_PER_RANGE = 50_000  # joined at a time
ROWS_PER_DIGEST = 1_000_000  # summed at a time, for a second or two; an unequal range is joined
MAX_RANGES = 4_000
SAMPLE_PER_RANGE = 1_000
SAMPLE = 20_000  # at least: whole blocks are sampled, and two sessions wait for the larger of two ranges
FEW = 2  # ranges that are read by blocks of the heap
WORTH_A_SESSION = 32  # blocks


@dataclass(frozen=True)
class Range:
    """low <= key < high; None: no bound."""

    number: int
    low: int | None = None
    high: int | None = None

    def where(self, key: sql.Composable) -> sql.Composable:
        """The condition over the expression `key`."""
        parts: list[sql.Composable] = []
        if self.low is not None:
            parts.append(sql.SQL("{} >= {}").format(key, sql.Literal(self.low)))
        if self.high is not None:
            parts.append(sql.SQL("{} < {}").format(key, sql.Literal(self.high)))
        return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")

    def of(self, keys: array[int]) -> array[int]:
        """The part of sorted `keys` that lies in this range."""
        first = 0 if self.low is None else bisect_left(keys, self.low)
        last = len(keys) if self.high is None else bisect_left(keys, self.high)
        return keys[first:last]


EVERYTHING = Range(0)


def key_ranges(cuts: Iterable[int], within: Range = EVERYTHING) -> tuple[Range, ...]:
    """n distinct cut points make n + 1 ranges, the first as open below as `within` is and the last above; none makes one."""
    low, high = within.low, within.high
    inside = {c for c in cuts if (low is None or low < c) and (high is None or c < high)}
    return tuple(Range(n, *ends) for n, ends in enumerate(pairwise([low, *sorted(inside), high]), 1))


def cover_everything(ranges: Sequence[Range]) -> bool:
    """Whether each range begins where the one before ends, the first is open below and the last above."""
    ends = [None, *(r.high for r in ranges)]
    return bool(ranges) and ends[-1] is None and all(r.low == end for r, end in zip(ranges, ends, strict=False))


def wanted_ranges(rows: int, method: Method, jobs: int) -> int:
    """A digest costs least over as much as there is at once: a few ranges are shared by the sessions, of more each has its own."""
    wanted = -(-rows // ROWS_PER_RANGE)
    if method == "checksum":
        wanted = -(-rows // (jobs * ROWS_PER_DIGEST))
        wanted *= 1 if wanted <= FEW else jobs
    return max(1, min(MAX_RANGES, wanted))


def wanted_parts(blocks: int, jobs: int) -> int:
    """Of the larger heap: each of the sessions is to have its part, if that is worth its while."""
    return max(1, min(jobs, blocks // WORTH_A_SESSION))


def cut_points(conn: Connection, d: TableMapping, rows: int, wanted: int) -> list[int]:
    """Up to `wanted` - 1 quantiles of the keys of both sides, from at least a thousand sampled rows per range. `wanted`: two or more."""
    percent = sql.Literal(min(100.0, 100.0 * max(wanted * SAMPLE_PER_RANGE, SAMPLE) / max(rows, 1)))
    fractions = ",".join(f"{n / wanted:.9f}" for n in range(1, wanted))
    sample = sql.SQL("SELECT s.{}::bigint AS k FROM {} s TABLESAMPLE SYSTEM ({}) REPEATABLE (0)")
    row = conn.execute(
        sql.SQL("SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY x.k) FROM ({} UNION ALL {}) x").format(
            sql.Literal("{" + fractions + "}"),
            sample.format(sql.Identifier(d.origin_key), d.origin.sql, percent),
            sample.format(sql.Identifier(d.target_key), d.target.sql, percent),
        )
    ).fetchone()
    return [] if row is None or row[0] is None else list(row[0])


def bigints(keys: Sequence[int]) -> sql.Composable:
    """The keys as one bigint[] literal."""
    return sql.SQL("{}::bigint[]").format(sql.Literal("{" + ",".join(map(str, keys)) + "}"))
