"""`swap adopt-clone`: takes over the state of a copy, on purpose (invariant 11).

A copy that was promoted is of one moment, and is taken as it is. In any other copy transaction ids mean other transactions, so what
is counted in them is forgotten: the position in the queue, the verification, the ids of exchanges. A run that has been built goes on
after a comparison of all rows, as after a lost capture (cutover/restore_capture.py). One that was still being built does not: its
progress is counted in blocks of tables that were written anew, so only `abort` is left.

Each run is one transaction, and the last one records where the state is now. A call that was killed is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from cutover.restore_capture import COMPLETE, MISSED
from swap.core.lock_retries import with_locks
from swap.core.statement import AX, script
from swap.ddl.change_tables import change_table, queue_again
from swap.ddl.replication import SLOT
from swap.prepare.drift import drift, store_baseline, table_oids
from swap.prepare.slot import slot_name
from swap.state.journal import Phase, Run
from swap.state.migration import Migration
from swap.state.missing import HALF_BUILT
from swap.state.origin import Copied
from swap.sync.take_over import take_over

BEGUN = (Phase.PREPARING, Phase.PREPARED, Phase.BACKFILLING)


def consequences(copied: Copied, runs: Iterable[Run]) -> list[str]:
    """What taking over means for each run under way, as lines."""
    return [f"the run of {run.source}, {run.phase.value.replace('_', ' ')}: {_means(copied, run)}" for run in runs]


def _means(copied: Copied, run: Run) -> str:
    if copied.promoted:
        return "goes on as it is" + (
            "; a slot that did not come along is made again by `swap prepare`" if run.mode == "logical" else ""
        )
    if run.phase in BEGUN:
        return "cannot go on, since it was still being built; `swap abort` removes what is there"
    out = "`finalize` ends it" if run.phase is Phase.CUT_OVER else "`swap abort` removes what is there"
    return (
        "its position in the queue, its verification and the ids of its exchanges are forgotten, and the structure of its tables is recorded as it is"
        f" here, so `swap prepare` compares all rows and queues what differs, then `swap sync --once` and `swap verify`; or {out}"
    )


def adopt_clone(copied: Copied, migrations: Iterable[Migration], record: Callable[[], None]) -> None:
    """Take over each of the runs under way, then `record` where the state is. Raises RefusedError while another command works on one
    of them, and LockError."""
    with ExitStack() as held:
        for m in migrations:
            held.enter_context(m.locks.only_operator())
            held.enter_context(m.locks.taking_over())
            if not copied.promoted:
                _forget(m, copied)
        record()


def _forget(m: Migration, copied: Copied) -> None:
    conn, journal, run = m.conn, m.journal, m.reload()
    if run.phase in COMPLETE:
        take_over(m)  # a run of an older version, whose entries have other columns
    names = [change_table(run.plan, n, t.number) for t in run.plan.swapped for n in (0, 1)]
    queue = [t for t in names if table_oids(conn, [t])]

    def body() -> None:
        journal.forget_positions(run.id)  # first: the watermark must not see this transaction, whose entries follow
        if queue:
            conn.execute(script(queue_again(run.plan)))
        if run.mode == "logical" and run.phase is not Phase.PREPARING:
            journal.forget_step(run.id, SLOT)
            journal.capture.begin_stream(run.id, slot_name(conn, run.plan), 0)  # a slot that is not there: `prepare` makes it
        if run.phase in COMPLETE:
            journal.mark_step(run.id, MISSED)
            # A dump does not hold everything as it was printed: rights that are those by default, names of another major version.
            differs = drift(m)
            store_baseline(m)
            journal.event(run.id, "adopted", f"recorded as it is here: {'; '.join(differs) or 'nothing differs'}")
        if run.phase in BEGUN:
            journal.mark_step(run.id, HALF_BUILT)
        journal.event(run.id, "adopted", f"from a copy: {copied}")

    if queue:
        with_locks(conn, queue, AX, m.budget, body)
    else:
        with conn.transaction():
            body()
