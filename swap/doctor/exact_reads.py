"""`[cutover] reads = "exact"`: whether the role sees other sessions' snapshots, as an exchange then has to."""

from __future__ import annotations

from swap.core.blockers import shows_snapshots
from swap.core.connection import Connection
from swap.doctor.finding import Finding, blocker, ok


def check_exact_reads(conn: Connection, reads: str) -> list[Finding]:
    if reads != "exact":
        return []
    if shows_snapshots(conn):
        return [ok("exact-reads", "cutover.reads", "the role sees which sessions hold an older snapshot")]
    return [
        blocker(
            "exact-reads", "cutover.reads", 'reads = "exact" needs to see the snapshots of other sessions, and this role may not',
            'GRANT pg_monitor to the role, or set reads = "fast" (docs/limits.md says what is read then).',
        )
    ]  # fmt: skip
