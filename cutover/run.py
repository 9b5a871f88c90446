"""`swap cutover` and `swap revert`: gates, hook, final drain, attempts, and an account of what happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace

import psycopg

from cutover.after_commit import after_commit
from cutover.attempt_monitor import AttemptMonitor, Bystanders
from cutover.clients import disconnect, refuse_clients
from cutover.exact_reads import UnplannedReadersError, resolve_reads, unplanned_readers
from cutover.final_drain import Uncompared, converge, refuse_touched_references
from cutover.gates import Verified, check_gates, check_phase, refuse_forgotten
from cutover.hold import HoldExceededError, without_collector
from cutover.kill import Killer
from cutover.lock_table import full, no_room
from cutover.obstacles import holders, obstacles
from cutover.pooler import NotPausedError, Pooler
from cutover.prepared_exchange import PreparedExchange, cutover_exchange, prepare_exchange, revert_exchange
from cutover.transaction import Exchanged, attempt, resolve
from cutover.wait import NO_DEADLINE, Deadline
from swap.core.blockers import Reason, sessions
from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, LockError, StoppedError, SwapError, UnknownOutcomeError, attach
from swap.prepare.drift import redeployed, structure_now
from swap.state.migration import Migration
from swap.sync.exact_reads import release_reads
from swap.sync.follow_up import SETTLED, finish_exchange
from swap.sync.logical.barrier import StreamBarrier, streaming
from swap.sync.partitions import follow_partitions
from swap.sync.required_columns import required_keys
from swap.sync.source_partitions import refuse_other_partitions
from swap.sync.take_over import take_over

OLDER = "; a COPY or a dump, whose snapshot is older than the exchange would be"


@dataclass(frozen=True)
class Outcome:
    """CLI.md's fields of `cutover` and `revert`. `waited` names the sessions in the way, attempt by
    attempt; `verification` is the one that the exchange relied on."""

    outcome: str
    attempts: int
    lock_wait_ms: float
    locked_ms: float
    drained_changes: int
    compared_keys: int
    blocked_sessions_max: int
    blocked_ms_max: float
    snapshot: str | None
    xid: str | None
    waited: tuple[str, ...] = ()
    verification: dict[str, object] | None = None
    paused_ms: float | None = None
    disconnected: int = 0
    clients_left: tuple[str, ...] = ()


def no_snapshot(_: Migration) -> str | None:
    """No hook was asked for."""
    return None


def no_check(_: Migration) -> None:
    """Nothing begins at the commit."""


@dataclass
class ExchangeCommand:
    """One cutover or revert. `snapshot` runs the hook and returns what it printed (None: no hook asked for). `show_queries`: tell
    what the sessions in the way run; the journal does not get it. `committed` is called right after the commit, and returns at once. After
    `deadline` no attempt begins. `attempting`: a block around each attempt, in which nothing else of this process happens."""

    migration: Migration
    kind: str
    snapshot: Callable[[Migration], str | None] = no_snapshot
    show_queries: bool = False
    committed: Callable[[Migration], None] = no_check
    deadline: Deadline = NO_DEADLINE
    attempting: Callable[[], AbstractContextManager[None]] = nullcontext
    barrier: StreamBarrier | None = None
    monitoring: Connection | None = None
    pooler: Pooler = field(init=False)
    tried: int = 0
    became: str = "rolled_back"  # the outcome of the attempts, if none is known to have committed
    waited: list[str] = field(default_factory=list)
    behind: Bystanders = field(default_factory=Bystanders)

    def execute(self) -> Outcome:
        """Raises PhaseError, RefusedError, StoppedError, LockError, DifferenceError, UnknownOutcomeError; when there was an
        attempt, with an account of them (`swap.core.errors.attach`)."""
        m = self.migration
        conn, locks, config = m.conn, m.locks, m.config
        check_phase(m.run, self.kind)
        with locks.only_operator(), Pooler(m) as self.pooler:
            check_phase(m.reload(), self.kind)
            take_over(m)
            refuse_other_partitions(m, NOTHING_CHANGED)
            follow_partitions(m, returned=True)
            if not m.journal.step_done(m.run.id, SETTLED):
                finish_exchange(m, wait=True, fill=False)
            roles = config.cutover.disconnect_clients
            refuse_clients(conn, roles)
            check_gates(m)
            exact = resolve_reads(m, self.kind)
            began = time.monotonic()
            taken = self.snapshot(m)
            m.reload()
            refuse_other_partitions(m, NOTHING_CHANGED)
            follow_partitions(m, returned=True)
            verified = check_gates(m, grace_s=time.monotonic() - began)
            if self.kind == "revert" and (
                anew := redeployed(m.journal.baseline(m.run.id) or [], m.conn.execute(structure_now(m.plan)))
            ):
                m.report.note(f"deployed since the cutover, and put back as before it: {', '.join(anew)}")
            exchange = cutover_exchange(m.plan) if self.kind == "cutover" else revert_exchange(m.plan)
            with locks.taking_over(), streaming(m.database, m.plan, m.run.id) as self.barrier:
                refuse_forgotten(m)
                try:
                    with required_keys(m):
                        outcome = replace(
                            self._attempts(prepare_exchange(m, exchange, exact=exact), verified),
                            snapshot=taken,
                            verification=verified.quoted(),
                            paused_ms=self.pooler.paused_ms,
                        )
                except (SwapError, psycopg.Error) as e:
                    if self.tried:
                        account = self._unmeasured(self.became, self.behind, None)
                        attach(e, asdict(replace(account, snapshot=taken, verification=verified.quoted())))
                    raise
                finally:
                    if self.monitoring is not None:
                        self.monitoring.close()
            try:
                with after_commit(self.kind):
                    self._measured(outcome)
                    m.reload()
                    self.committed(m)
                    clients = disconnect(m, roles)
                    outcome = replace(outcome, disconnected=clients.ended, clients_left=clients.left)
                    self._follow_up(conn)
                self.pooler.finish(f"The {self.kind} is committed, and its follow-up is done.")
            except SwapError as e:
                attach(e, asdict(outcome))
                raise
        return outcome

    def _measured(self, outcome: Outcome) -> None:
        """Journal the times of the exchange, for `swap status`."""
        if outcome.xid is not None and outcome.locked_ms:
            m = self.migration
            times = {"locked_ms": outcome.locked_ms, "lock_wait_ms": outcome.lock_wait_ms}
            m.journal.attempts.measured(m.run.id, outcome.xid, **times)

    def _follow_up(self, first: Connection) -> None:
        """The exchange is committed: a lock that is not free here is no failure of it, and `sync` finishes the rest.
        `first` holds `operator`. Where it was lost around COMMIT, the session in its place takes it."""
        m = self.migration
        with nullcontext(True) if m.conn is first else m.locks.operator_again() as mine:
            if not mine:
                m.report.note("another command is at work: it finishes the follow-up, or `swap sync` does")
                return
            try:
                finish_exchange(m, wait=True)
                if left := release_reads(m):
                    m.report.note(f"reads of older snapshots are still told to retry, until `swap sync` finds none: {left}")
            except LockError as e:
                m.report.note(f"the follow-up is not finished: {e.message} `swap sync` finishes it")

    def _attempts(self, prepared: PreparedExchange, verified: Verified) -> Outcome:
        m, cut = self.migration, self.migration.config.cutover
        conn, plan = m.conn, m.plan
        killer = Killer(cut.kill_blockers)
        met: set[str] = set()  # transactions that held the tables when the last attempt failed
        uncompared = converge(m, Uncompared(verified.watermark), self.barrier)
        compared = False
        for number in range(1, cut.max_attempts + 1):
            if m.stop.is_set():
                raise StoppedError("Stopped by the operator between attempts.", state="Nothing was changed; syncing goes on.")
            in_the_way = [*obstacles(m), *map(Reason, no_room(conn, plan))]
            in_the_way += self._unplanned(killer) if prepared.exact else []
            reason = Reason.join([*in_the_way, *self._still_there(met, killer)])
            if not (reason.text or compared):
                refuse_touched_references(m, verified.snapshot, verified.watermark)
                compared = True
            uncompared = converge(m, uncompared, self.barrier)
            self.deadline.refuse_late(self.tried, reason.text)
            self.tried = number
            if not reason.text:
                with AttemptMonitor(self._monitoring(), conn.info.backend_pid, killer) as monitor:
                    try:
                        with self.pooler.paused(), self.attempting(), without_collector():
                            done = attempt(m, prepared, verified, uncompared, monitor, self.barrier)
                        if prepared.exact:
                            self._tell_unplanned(done.xid, killer)
                        self._note_ended(killer)
                        return self._outcome(done, monitor.bystanders)
                    except UnknownOutcomeError as e:
                        return self._resolved(e.message, monitor.bystanders)
                    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                        there = holders(conn, plan)
                        met = {h.transaction for h in there}
                        who = Reason.of(monitor.blockers.values() or (h.who for h in there))
                        reason = Reason.join(who or [Reason("a lock was not free")])
                    except psycopg.errors.OutOfMemory as e:
                        reason = Reason(full(conn, e))
                        if not reason.text:
                            raise
                    except NotPausedError as e:
                        met = {h.transaction for h in holders(conn, plan)}
                        reason = Reason.join([Reason(str(e)), *Reason.of(sessions(conn, e.pids))])
                    except UnplannedReadersError as e:
                        reason = Reason.join(Reason.of(e.readers, OLDER))
                    except HoldExceededError:
                        reason = Reason(f"it would have held its locks longer than {cut.max_lock_hold_ms} ms")
                    finally:
                        self.behind |= monitor.bystanders
            self.pooler.finish("Nothing was changed; syncing goes on.")
            self._note_ended(killer)
            told = reason.told(show_queries=self.show_queries)
            self.waited.append(told)
            m.journal.attempts.rolled_back(m.run.id, self.kind, reason.text)
            m.report.waiting(f"attempt {number} of {cut.max_attempts}: {told}")
            if number < cut.max_attempts:
                m.stop.wait(self._pause_s(number))
        raise self._no_lock(reason)

    def _no_lock(self, last: Reason) -> LockError:
        cut = self.migration.config.cutover
        said = f"No lock within {cut.max_attempts} attempts of {cut.lock_timeout_ms} ms; {self.behind}. Last in the way: "
        dump = OLDER in last.text
        other = (
            f" Or `swap {self.kind} --reads fast`: it waits for no dump, which may then lack the last changes." if dump else ""
        )
        error = LockError(
            said + self.waited[-1],
            hint="End or wait for the sessions named, or set [cutover] kill_blockers; then run it again." + other,
        )
        error.journalled = said + last.text
        return error

    def _still_there(self, met: set[str], killer: Killer) -> list[Reason]:
        """Sessions that would be in the way of the next attempt too: they blocked the last one, or their transaction is long."""
        there = [h for h in holders(self.migration.conn, self.migration.plan) if h.old or h.transaction in met]
        for h in there:
            killer.consider(self._monitoring(), h.who)
        return Reason.of((h.who for h in there), "; still there, so no lock was asked for")

    def _unplanned(self, killer: Killer) -> list[Reason]:
        """Sessions that would read across the exchange without a plan."""
        readers = unplanned_readers(self.migration.conn)
        for reader in readers:
            killer.consider(self._monitoring(), reader)
        return Reason.of(readers, OLDER)

    def _tell_unplanned(self, xid: str, killer: Killer) -> None:
        """Name those that began in the moment before the COMMIT, and end them as `kill_blockers` allows.

        Seen: 1 of 385 copies and dumps around 40 exchanges, on a machine with a load of 9."""
        for reader in unplanned_readers(self.migration.conn, before=xid):
            killer.consider(self._monitoring(), reader)
            line = f"{reader} began in the moment of the {self.kind}: what it copies is of no one moment, so run it again"
            self.migration.report.note(line)
            self.migration.journal.event(self.migration.run.id, "unplanned", line)

    def _note_ended(self, killer: Killer) -> None:
        """Report and journal every session that was cancelled or terminated."""
        for line in killer.take_log():
            self.migration.report.note(line)
            self.migration.journal.event(self.migration.run.id, "blocker", line)

    def _monitoring(self) -> Connection:
        """The session that monitors, for all attempts; a new one when it was lost."""
        if self.monitoring is None or self.monitoring.closed:
            self.monitoring = self.migration.database.connect("watch")
            self.monitoring.execute("SET synchronous_commit = local")  # its flush waits for no standby
        return self.monitoring

    def _pause_s(self, number: int) -> float:
        """Grows with the attempts and is jittered, so that the queue behind the last attempt drains first (H33)."""
        base = max(self.migration.config.cutover.lock_timeout_ms, 50) / 1000
        base = max(base, self.pooler.timeout_s if self.pooler.consoles else 0.0)
        return min(2.0, base * (1 + number / 4)) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret

    def _outcome(self, done: Exchanged, last: Bystanders) -> Outcome:
        return replace(
            self._unmeasured("committed", self.behind | last, done.xid),
            lock_wait_ms=round(done.lock_wait_ms, 1),
            locked_ms=round(done.locked_ms, 1),
            drained_changes=done.drained,
            compared_keys=done.compared,
        )

    def _unmeasured(self, outcome: str, behind: Bystanders, xid: str | None) -> Outcome:
        return Outcome(
            outcome=outcome,
            attempts=self.tried,
            lock_wait_ms=0.0,
            locked_ms=0.0,
            drained_changes=0,
            compared_keys=0,
            blocked_sessions_max=behind.sessions,
            blocked_ms_max=round(behind.longest_ms, 1),
            snapshot=None,
            xid=xid,
            waited=tuple(self.waited),
        )

    def _resolved(self, xid: str, last: Bystanders) -> Outcome:
        """The connection died around COMMIT: ask the server for the outcome (invariant 5)."""
        m = self.migration
        self.became = "unknown"
        m.report.waiting("the connection was lost at COMMIT; asking the server for the outcome")
        committed = resolve(m, xid)
        if committed is None:
            raise UnknownOutcomeError(f"The connection was lost at COMMIT of transaction {xid} and the server does not answer.")
        self.became = "committed" if committed else "rolled_back"
        m.reconnect("after a lost connection")
        if not committed:
            raise LockError(f"The connection was lost at COMMIT; transaction {xid} was rolled back.")
        return self._unmeasured("committed", self.behind | last, xid)
