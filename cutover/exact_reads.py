"""Exact reads (`[cutover] reads`): no read across an exchange sees what replay had left (H70).

The exchange raises the generation of reads and sets the trap for older snapshots (swap/ddl/exact_reads.py). Before each attempt
the generation is raised too, in a commit of its own. When the last drain under the lock finds nothing, every snapshot since
then shows shadows that equal their tables; so those are let through as well.

The trap sees what is planned. COPY of a table is not, and so neither are pg_dump and the initial copy of a subscription. They
would also put the new table under the old one's definition. So no attempt is made while one of them holds a snapshot, and
one that is there before the COMMIT rolls it back. They are told after it if they began in the moment between.

Rejected: EXCLUSIVE first, a drain by another session, then ACCESS EXCLUSIVE, so that waiters have snapshots of after the drain. That
is an upgrade of a lock. A transaction that has read, and now writes, waits for the first lock and blocks the second.
Measured on 18 with clients that read a row and then update it: 4, 16 and 50 clients without a pause had every one of 30 attempts
fail; 50 clients with 200 transactions a second together took 1 to 4 attempts, with 500 a second 5 to 28. ACCESS EXCLUSIVE at
once took one attempt each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from swap.core.blockers import Blocker, sessions
from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.core.statement import script
from swap.ddl.exact_reads import TRAPPED, drop_trap, raise_generation, set_trap
from swap.doctor.exact_reads import UNSEEN, grant_of_snapshots, reads_exactly
from swap.state.migration import Migration


class UnplannedReadersError(Exception):
    """Sessions with an older snapshot may read what the planner does not see, so the transaction was rolled back."""

    def __init__(self, readers: Sequence[Blocker]) -> None:
        super().__init__("a reader holds an older snapshot")
        self.readers = readers


def resolve_reads(migration: Migration, kind: str) -> bool:
    """Decide for this whole command whether reads across its exchange are exact, and journal it."""
    conn, reads = migration.conn, migration.config.cutover.reads
    exact = reads_exactly(conn, reads)
    said = f"reads across the {kind} are {'exact' if exact else 'fast'}"
    why = "by [cutover] reads" if reads else "the role sees other sessions' snapshots" if exact else UNSEEN
    migration.journal.event(migration.run.id, "reads", f"{said}: {why}")
    if reads is None and not exact:
        migration.report.note(f"{said}: {UNSEEN}. {grant_of_snapshots(conn)}")
    return exact


def unplanned_readers(conn: Connection, own: Sequence[int] = (), before: str | None = None) -> list[Blocker]:
    """Who holds a snapshot and reads without a plan. `own`: processes that are left out. `before`: with a snapshot that may not
    show that transaction. Raises RefusedError where the role lost the right to see them since `resolve_reads`."""
    params = {"own": list(own), "before": before}
    pids = fetch_values(conn, load_sql("cutover", "unplanned_readers.sql"), params)
    if None in pids:
        raise RefusedError(
            "This role may not see the snapshots of other sessions any more, which exact reads need.",
            state=NOTHING_CHANGED,
            hint=grant_of_snapshots(conn),
        )
    return sessions(conn, pids) if pids else []


def raise_before(migration: Migration) -> None:
    """Raise the generation in a commit of its own, after the last drain without a lock."""
    migration.conn.execute(raise_generation(migration.plan))


def note_trap(migration: Migration, *, exact: bool) -> bool:
    """Journal, in the exchange's transaction, whether there is a trap after it. Returns whether there was one before."""
    journal, run_id = migration.journal, migration.run.id
    before = journal.step_done(run_id, TRAPPED)
    if exact:
        journal.mark_step(run_id, TRAPPED)
    elif before:
        journal.forget_step(run_id, TRAPPED)
    return before


def trap_script(migration: Migration, *, exact: bool, drained: bool, trapped: bool) -> bytes:
    """What an exchange runs behind its own script. `drained`: it changed a maintained row. `trapped`: an earlier exchange's trap is
    there; where this one sets none, it takes that one away."""
    plan = migration.plan
    if exact:
        return script(set_trap(plan, raised=drained)).as_bytes(migration.conn)
    return script(drop_trap(plan)).as_bytes(migration.conn) if trapped else b""
