"""`swap cutover` and `swap revert`: gates, hook, final drain, attempts, and an honest account of the outcome."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace

import psycopg

from cutover.after_commit import after_commit
from cutover.attempt_monitor import Bystanders, Watch
from cutover.clients import disconnect, refuse_clients
from cutover.compare import refuse_differences
from cutover.final_drain import catch_up
from cutover.gates import Verified, check_gates, check_phase
from cutover.hold import HoldExceededError
from cutover.kill import Killer
from cutover.lock_table import full, no_room
from cutover.obstacles import holders, obstacles
from cutover.pooler import NotPausedError, Pooler
from cutover.prepared_exchange import Ready, cutover_exchange, ready, revert_exchange
from cutover.transaction import Exchanged, attempt, resolve
from swap.core.advisory_locks import only_operator, operator_again, taking_over
from swap.core.blockers import sessions
from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.errors import LockError, StoppedError, SwapError, UnknownOutcomeError, attach
from swap.core.report import Reporter
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping, table_mapping
from swap.state.journal import Journal, Run
from swap.sync.change_queue import read_watermark
from swap.sync.follow_up import SETTLED, settle
from swap.sync.logical.barrier import OwnFence, streaming
from verify.changed_keys import touched_keys

ROUNDS, NEAR = 5, 50  # the last drain's: at most so many, until one has no more keys than this


@dataclass(frozen=True)
class Outcome:
    """CLI.md's fields of `cutover` and `revert`. `waited` names who stood in the way, attempt by attempt;
    `verification` is the one that was relied on."""

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


@dataclass
class Operation:
    """One cutover or revert. `snapshot` runs the hook and returns what it printed (None: no hook asked for)."""

    database: Database
    config: Config
    journal: Journal
    run: Run
    kind: str
    report: Reporter
    stop: threading.Event
    snapshot: Callable[[Connection, Run], str | None]
    fence: OwnFence | None = None
    watching: Connection | None = None
    pooler: Pooler = field(init=False)
    tried: int = 0
    became: str = "rolled_back"  # what the attempts came to, if none is known to have committed
    waited: list[str] = field(default_factory=list)
    behind: Bystanders = field(default_factory=Bystanders)

    def execute(self) -> Outcome:
        """Raises PhaseError, RefusedError, StoppedError, LockError, DifferenceError, UnknownOutcomeError; when there was an
        attempt, with an account of them (`swap.core.errors.attach`)."""
        conn = self.journal.conn
        check_phase(self.run, self.kind)
        with only_operator(conn, self.run.plan.tag), Pooler(self.config, conn.info.dbname, self.report) as self.pooler:
            self.run = self.journal.get(self.run.id)
            check_phase(self.run, self.kind)
            if not self.journal.step_done(self.run.id, SETTLED):
                settle(self.database, self.journal, self.run, self.report, wait=True, fill=False)
            roles = self.config.cutover.disconnect_clients
            refuse_clients(conn, roles)
            check_gates(conn, self.journal, self.run, self.config)
            began = time.monotonic()
            taken = self.snapshot(conn, self.run)
            self.run = self.journal.get(self.run.id)
            verified = check_gates(conn, self.journal, self.run, self.config, grace_s=time.monotonic() - began)
            what = cutover_exchange(self.run.plan) if self.kind == "cutover" else revert_exchange(self.run.plan)
            plan = self.run.plan
            with taking_over(conn, plan.tag), streaming(self.database, plan, self.run.id) as self.fence:
                try:
                    outcome = replace(
                        self._attempts(ready(conn, self.journal, self.run, what), verified),
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
                    if self.watching is not None:
                        self.watching.close()
            try:
                with after_commit(self.kind):
                    self.run = self.journal.get(self.run.id)
                    gone = disconnect(self.journal, self.run, roles, self.stop)
                    outcome = replace(outcome, disconnected=gone.ended, clients_left=gone.left)
                    self._follow_up(conn)
                self.pooler.finish(f"The {self.kind} is committed, and its follow-up is done.")
            except SwapError as e:
                attach(e, asdict(outcome))
                raise
        return outcome

    def _follow_up(self, first: Connection) -> None:
        """The exchange is committed: a lock that is not free here is no failure of it, and `sync` finishes what is left.
        `first` holds `operator`; when it was lost around COMMIT, the session in its place has to."""
        conn, tag = self.journal.conn, self.run.plan.tag
        with nullcontext(True) if conn is first else operator_again(conn, tag) as mine:
            if not mine:
                self.report.note("another command is at work: it finishes the follow-up, or `swap sync` does")
                return
            try:
                settle(self.database, self.journal, self.run, self.report, wait=True)
            except LockError as e:
                self.report.note(f"the follow-up is not finished: {e.message} `swap sync` finishes it")

    def _attempts(self, prepared: Ready, verified: Verified) -> Outcome:
        conn, cut = self.journal.conn, self.config.cutover
        killer = Killer(cut.kill_blockers)
        met: set[str] = set()  # transactions that held the tables when the last attempt failed
        compare_from = self._draw_near(verified.watermark)
        for number in range(1, cut.max_attempts + 1):
            if self.stop.is_set():
                raise StoppedError("Stopped by the operator between attempts.", state="Nothing was changed; syncing goes on.")
            in_the_way = [*obstacles(conn, self.journal, self.run), *no_room(conn, self.run.plan)]
            reason = "; ".join([*in_the_way, *self._still_there(met, killer)])
            compare_from = self._draw_near(compare_from)
            self.tried = number
            if not reason:
                with Watch(self._watcher(), conn.info.backend_pid, killer) as watch:
                    try:
                        with self.pooler.paused():
                            done = attempt(
                                conn, self.journal, self.run, prepared, self.config, verified, compare_from, watch, self.fence
                            )
                        self._say_whom(killer)
                        return self._outcome(done, watch.bystanders)
                    except UnknownOutcomeError as e:
                        return self._resolved(e.message, watch.bystanders)
                    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                        there = holders(conn, self.run.plan)
                        met = {h.transaction for h in there}
                        reason = "; ".join(map(str, watch.blockers.values() or (h.who for h in there))) or "a lock was not free"
                    except psycopg.errors.OutOfMemory as e:
                        reason = full(conn, e)
                        if not reason:
                            raise
                    except NotPausedError as e:
                        met = {h.transaction for h in holders(conn, self.run.plan)}
                        reason = "; ".join([str(e), *map(str, sessions(conn, e.pids))])
                    except HoldExceededError:
                        reason = f"it would have held its locks longer than {cut.max_lock_hold_ms} ms"
                    finally:
                        self.behind |= watch.bystanders
            self.pooler.finish("Nothing was changed; syncing goes on.")
            self._say_whom(killer)
            self.waited.append(reason)
            self._note_failure(prepared.what.kind, reason)
            self.report.waiting(f"attempt {number} of {cut.max_attempts}: {reason}")
            if number < cut.max_attempts:
                self.stop.wait(self._pause_s(number))
        raise LockError(
            f"No lock within {cut.max_attempts} attempts of {cut.lock_timeout_ms} ms; {self.behind}. Last in the way: {self.waited[-1]}",
            hint="End or wait for the sessions named, or set [cutover] kill_blockers; then run it again.",
        )

    def _still_there(self, met: set[str], killer: Killer) -> list[str]:
        """Those who would be in the way of the next attempt too: they were in that of the last one, or are at it for long."""
        there = [h for h in holders(self.journal.conn, self.run.plan) if h.old or h.transaction in met]
        for h in there:
            killer.consider(self._watcher(), h.who)
        return [f"{h.who}; still there, so no lock was asked for" for h in there]

    def _say_whom(self, killer: Killer) -> None:
        """Every session that was told to go, on the terminal and in the journal."""
        for line in killer.take_log():
            self.report.note(line)
            self.journal.event(self.run.id, "blocker", line)

    def _watcher(self) -> Connection:
        """The session that watches, for all attempts; another one when it was lost."""
        if self.watching is None or self.watching.closed:
            self.watching = self.database.connect("watch")
            self.watching.execute("SET synchronous_commit = local")  # what it flushes waits for no standby
        return self.watching

    def _pause_s(self, number: int) -> float:
        """Grows with the attempts and is jittered, so that the queue behind the last attempt drains first (H33)."""
        base = max(self.config.cutover.lock_timeout_ms, 50) / 1000
        base = max(base, self.pooler.timeout_s if self.pooler.consoles else 0.0)
        return min(2.0, base * (1 + number / 4)) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret

    def _draw_near(self, since: Snapshot) -> Snapshot:
        """Drain and compare without a lock, right before it is asked for: everybody waits for what is left for under it.
        Again, where there was so much that as much has come meanwhile. Returns where that comparison has to begin."""
        d = table_mapping(self.run.plan, self.run.direction)
        for _ in range(ROUNDS):
            if self.fence is not None:
                self.fence.close_up()
            taken = catch_up(self.journal.conn, self.run.plan, d, self.run.id, self.fence)
            since, compared = self._compare_ahead(d, since)
            if max(taken, compared) <= NEAR:
                break
        return since

    def _compare_ahead(self, d: TableMapping, since: Snapshot) -> tuple[Snapshot, int]:
        """Compare what was touched since `since` before any lock is held, so that little is left for under it.

        Returns the replay watermark of the snapshot that was compared here, so that keys still queued in it are looked
        at again; and how many were compared.
        """
        conn, plan = self.journal.conn, self.run.plan
        with conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            watermark = read_watermark(conn, plan, self.run.id)
            queue = self.fence.close_up() if self.fence else conn  # what this snapshot shows is in the queue then
            pending = touched_keys(queue, plan, watermark)
            return watermark, refuse_differences(conn, d, touched_keys(conn, plan, since) - pending)

    def _note_failure(self, kind: str, reason: str) -> None:
        self.journal.attempts.rolled_back(self.run.id, kind, reason)

    def _outcome(self, done: Exchanged, last: Bystanders) -> Outcome:
        behind = self.behind | last
        return Outcome(
            "committed", self.tried, round(done.lock_wait_ms, 1), round(done.locked_ms, 1), done.drained, done.compared,
            behind.sessions, round(behind.longest_ms, 1), None, done.xid, tuple(self.waited),
        )  # fmt: skip

    def _unmeasured(self, outcome: str, behind: Bystanders, xid: str | None) -> Outcome:
        return Outcome(
            outcome, self.tried, 0.0, 0.0, 0, 0, behind.sessions, round(behind.longest_ms, 1), None, xid, tuple(self.waited)
        )

    def _resolved(self, xid: str, last: Bystanders) -> Outcome:
        """The connection died around COMMIT: the server is asked (invariant 5)."""
        self.became = "unknown"
        self.report.waiting("the connection was lost at COMMIT; asking the server for the outcome")
        committed = resolve(self.database, self.journal.schema, self.run, xid)
        if committed is None:
            raise UnknownOutcomeError(f"The connection was lost at COMMIT of transaction {xid} and the server does not answer.")
        self.became = "committed" if committed else "rolled_back"
        self.journal.conn = self.database.connect("after a lost connection")
        if not committed:
            raise LockError(f"The connection was lost at COMMIT; transaction {xid} was rolled back.")
        return self._unmeasured("committed", self.behind | last, xid)
