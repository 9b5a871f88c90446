"""`[cutover] reads`: whether reads across an exchange are exact. For that the role has to see other sessions' snapshots."""

from __future__ import annotations

from swap.core.blockers import shows_snapshots
from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.doctor.finding import Finding, blocker, ok, warning

UNSEEN = (
    "this role may not see other sessions' snapshots, so reads across a cutover or a revert are not exact: a REPEATABLE READ or"
    " SERIALIZABLE transaction, a pg_dump, COPY TO, EXECUTE and a statement in a STABLE function that are at work then may read the"
    " tables without the last changes, and get no error"
)


def reads_exactly(conn: Connection, reads: str | None) -> bool:
    """Whether an exchange is exact for reads, by `reads` of the configuration, or else by what the role may see."""
    return shows_snapshots(conn) if reads is None else reads == "exact"


def check_exact_reads(conn: Connection, reads: str | None) -> list[Finding]:
    """Nothing where the configuration says fast."""
    if reads == "fast":
        return []
    if shows_snapshots(conn):
        return [ok("exact-reads", "cutover.reads", "exact: the role sees which sessions hold an older snapshot")]
    grant = grant_of_snapshots(conn)
    if reads is None:
        return [warning("exact-reads", "cutover.reads", UNSEEN, f'{grant} Or accept it: [cutover] reads = "fast".')]
    return [
        blocker(
            "exact-reads", "cutover.reads", 'reads = "exact" needs to see the snapshots of other sessions, and this role may not',
            f'{grant} Or set [cutover] reads = "fast" (docs/limits.md says what is read then).',
        )
    ]  # fmt: skip


def grant_of_snapshots(conn: Connection) -> str:
    """The statement after which this role sees them."""
    return str(fetch_values(conn, load_sql("swap.doctor", "exact_reads.sql"))[0])
