"""Ranges of heap blocks: equal parts of a heap that sessions read beside each other.

The first range is open below and the last one above, so together the ranges cover every row of a heap of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.core.sql_text import verbatim

BLOCK_SIZE = 8192  # It only divides the work: another block size gives parts of another size.
MIN_BLOCKS_PER_SESSION = 32


@dataclass(frozen=True)
class BlockRange:
    """The parts `start` (included) to `stop` (excluded) of `of` equal parts of a heap."""

    start: int
    stop: int
    of: int

    def where(self, heap_blocks: int) -> sql.Composable:
        """The condition on the row `s` of a heap that has `heap_blocks` blocks."""
        bounds = [
            sql.SQL("s.ctid {} {}::tid").format(verbatim(operator), sql.Literal(f"({heap_blocks * n // self.of},0)"))
            for operator, n in ((">=", self.start), ("<", self.stop))
            if 0 < n < self.of
        ]
        return sql.SQL(" AND ").join(bounds) if bounds else sql.SQL("true")


def block_ranges(of: int) -> list[BlockRange]:
    """All parts of a heap, one by one."""
    return [BlockRange(n, n + 1, of) for n in range(of)]


def parts_per_range(heap_blocks: int, jobs: int) -> int:
    """In how many parts to read the larger heap: one for each session, if the part is large enough for it."""
    return max(1, min(jobs, heap_blocks // MIN_BLOCKS_PER_SESSION))
