"""The end of a verification that was interrupted: the keys that changed since its oldest range, compared as an exchange compares them.

They may lie in ranges that were compared before, and the verdict is about these rows too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from swap.core.snapshot import Snapshot
from swap.state.migration import Migration
from swap.sync.replay import Barrier
from verify.change_comparison import compare_changes
from verify.partial_report import PartialReport


def compare_changed(m: Migration, found: PartialReport, barrier: Barrier | None) -> None:
    """Add what differs to `found`; where nothing does, it is covered up to this moment. `m`: on a session of the primary."""
    changes = compare_changes(m, Snapshot.parse(found.covered or ""), barrier=barrier)
    known = {(d.table, d.key) for d in found.differences}
    new = [d for d in changes.differences if (d.table, d.key) not in known]
    found.differences += new
    for n, t in enumerate(found.tables):
        kinds = Counter(d.kind for d in new if d.table == t.name and not t.columns)
        found.tables[n] = replace(
            t, missing=t.missing + kinds["missing"], extra=t.extra + kinds["extra"], different=t.different + kinds["different"]
        )  # fmt: skip
    if not changes.differences:
        found.covered = str(changes.watermark)
