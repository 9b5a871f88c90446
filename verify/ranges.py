"""Key ranges that cover every integer: the first is open below, the last is open above, on both sides alike. They are ranges of
the key's number (swap.plan.row_keys): the integer key itself, or a hash of another key.

The cut points come from a sample of the blocks of both tables. They only balance the work. Whatever they are, the ranges
neither overlap nor leave a key out. The rows seen in all ranges are summed and compared with an independent count.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.plan.direction import TableMapping
from verify.report import Method

ROWS_PER_RANGE = 50_000  # in one join
ROWS_PER_DIGEST = 1_000_000  # in one sum, which takes a second or two; a range whose digests differ is joined
MAX_RANGES = 4_000
LOWEST_HASH, HASHES = -(2**63), 2**64
SAMPLED_ROWS_PER_RANGE = 1_000
MIN_SAMPLED_ROWS = 20_000  # whole blocks are sampled, and two sessions wait for the larger of two ranges
MAX_SHARED_RANGES = 2  # All sessions share each of so few ranges: each reads its part of the heap's blocks.


@dataclass(frozen=True)
class KeyRange:
    """low <= key < high. None: no bound."""

    number: int
    low: int | None = None
    high: int | None = None

    def where(self, key: sql.Composable) -> sql.Composable:
        """The condition on the expression `key`."""
        parts: list[sql.Composable] = []
        if self.low is not None:
            parts.append(sql.SQL("{} >= {}").format(key, sql.Literal(self.low)))
        if self.high is not None:
            parts.append(sql.SQL("{} < {}").format(key, sql.Literal(self.high)))
        return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")

    def of(self, keys: array[int]) -> array[int]:
        """Those of the sorted `keys` that lie in this range."""
        first = 0 if self.low is None else bisect_left(keys, self.low)
        last = len(keys) if self.high is None else bisect_left(keys, self.high)
        return keys[first:last]


EVERY_KEY = KeyRange(0)


def key_ranges(cuts: Iterable[int], within: KeyRange = EVERY_KEY) -> tuple[KeyRange, ...]:
    """Divide `within` at the cut points: n distinct points make n + 1 ranges."""
    low, high = within.low, within.high
    inside = {c for c in cuts if (low is None or low < c) and (high is None or c < high)}
    return tuple(KeyRange(n, *ends) for n, ends in enumerate(pairwise([low, *sorted(inside), high]), 1))


def joined(ranges: Sequence[KeyRange]) -> tuple[KeyRange, ...]:
    """As few ranges as hold the same keys. `ranges`: in order."""
    out: list[KeyRange] = []
    for r in ranges:
        if out and r.low is not None and out[-1].high == r.low:
            out[-1] = KeyRange(out[-1].number, out[-1].low, r.high)
        else:
            out.append(r)
    return tuple(out)


def cover_every_key(ranges: Sequence[KeyRange]) -> bool:
    """Whether the first range is open below, the last is open above, and each begins where the one before ends."""
    ends = [None, *(r.high for r in ranges)]
    return bool(ranges) and ends[-1] is None and all(r.low == end for r, end in zip(ranges, ends, strict=False))


def wanted_ranges(rows: int, method: Method, jobs: int) -> int:
    """In how many ranges to compare `rows` rows. A digest is cheapest over many rows at once: the sessions share a few
    ranges, and of more ranges each session takes its own."""
    wanted = -(-rows // ROWS_PER_RANGE)
    if method == "checksum":
        wanted = -(-rows // (jobs * ROWS_PER_DIGEST))
        wanted *= 1 if wanted <= MAX_SHARED_RANGES else jobs
    return max(1, min(MAX_RANGES, wanted))


def fractions(parts: int) -> sql.Literal:
    """The fractions that divide a distribution into `parts` equal parts, as the text of a float8[]."""
    return sql.Literal("{" + ",".join(f"{n / parts:.9f}" for n in range(1, parts)) + "}")


def hash_cuts(parts: int) -> list[int]:
    """The bounds between `parts` equal parts of all hashes. Hashes are spread evenly, so no sample is needed."""
    return [LOWEST_HASH + HASHES * n // parts for n in range(1, parts)]


def cut_points(conn: Connection, mapping: TableMapping, rows: int, wanted: int) -> list[int]:
    """Up to `wanted` - 1 quantiles of the keys of both sides, from a sample of at least a thousand rows for each range.
    `wanted`: two or more."""
    percent = sql.Literal(min(100.0, 100.0 * max(wanted * SAMPLED_ROWS_PER_RANGE, MIN_SAMPLED_ROWS) / max(rows, 1)))
    sample = sql.SQL("SELECT s.{}::bigint AS k FROM {} s TABLESAMPLE SYSTEM ({}) REPEATABLE (0)")
    query = sql.SQL("SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY x.k) FROM ({} UNION ALL {}) x").format(
        fractions(wanted),
        sample.format(sql.Identifier(mapping.origin_key), mapping.origin_rows, percent),
        sample.format(sql.Identifier(mapping.target_key), mapping.target_rows, percent),
    )
    (cuts,) = fetch_values(conn, query)
    return cuts or []


def bigints(keys: Sequence[int]) -> sql.Composable:
    """The keys as one literal of type bigint[]."""
    return sql.SQL("{}::bigint[]").format(sql.Literal("{" + ",".join(map(str, keys)) + "}"))
