"""One worker at a time: the locks of a source, which only the owner of the state schema can take.

There are eight for each source (`tag`: the source's number in this database):

- `worker`: held by the session that moves data.
- `operator`: keeps cutover, revert, finalize and abort apart, from their begin to their end.
- `handover`: taken by one of these commands when it wants `worker`. A running `sync` sees it, finishes its batch, releases
  `worker`, and goes on when `handover` is free again. So `sync` keeps up while a snapshot hook runs for an hour, and a killed
  cutover leaves no flag behind that `sync` would wait for.
- `settle`: one follow-up of an exchange at a time.
- `borrowed`: held beside `worker` by a verification until the stream has delivered the changes that it needs, or until another
  session wants to work. A command that finds `worker` borrowed waits for it. If it refused instead, a `sync` would sometimes not
  begin because `verify --watch` looked at that moment.
- `verifying`: one verification at a time keeps what it has compared in the journal; another one beside it keeps nothing.
- `waiting`: held by a cutover that waits for its hour (cutover/wait.py). It keeps no other command out: an abort goes ahead, and the
  cutover that waits finds the run ended.
- `wanted`: held by a session that waits for a borrowed `worker`, where the borrower sees it.

Each wait has a limit, names the session that it waits for, and ends when the command is told to stop.

Rejected: advisory locks. Every role that may connect can take them: one session that held them by their numbers stopped every
command, without a word. Rejected: LOCK TABLE and row locks, which end with their transaction. They need a session beside the one
that works, idle in a transaction for days: whoever looks for such sessions ends it, and the one that works goes on without its lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from swap.core.connection import Connection
from swap.core.errors import LockError, RefusedError, StoppedError
from swap.state.lock_rows import Holder, find_holder, release, take

WORKER, HANDOVER, OPERATOR, SETTLE, BORROWED, WANTED = "worker", "handover", "operator", "settle", "borrowed", "wanted"
VERIFYING = "verifying"
WAITING = "waiting"
POLL_S = 0.05
RETURN_S = 30.0
HANDOVER_S = 60.0
SETTLE_S = 60.0
VERIFYING_S = 1.0


def refusal(holder: Holder | None, said: str, hint: str) -> RefusedError:
    """The error for a lock that another session holds: its process, its machine, and how to end a session whose machine is gone.
    `said` is the message, with {} in place of the session."""
    if holder is None:
        return RefusedError(said.format("just ended"), hint=hint)
    gone = "If its machine is gone, the server ends the session within about a minute (not on a Unix socket)"
    return RefusedError(said.format(holder), hint=f"{hint} {gone}, or at once: SELECT pg_terminate_backend({holder.pid});")


def at_work(holder: Holder | None) -> RefusedError:
    """The error for a second worker."""
    said = "Another swap is already at work on this table ({})."
    return refusal(holder, said, "One at a time: wait for it, or stop it (SIGTERM finishes its batch).")


@dataclass(frozen=True)
class Locks:
    """The locks of one source for the session `conn`, which takes and releases them between its transactions. `stop` ends each
    wait (StoppedError); `say` is told what is waited for, and an empty text at the end."""

    conn: Connection
    schema: str
    tag: int
    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = lambda _: None

    def holder(self, name: str) -> Holder | None:
        """The other session that holds the lock; None when it is free, or this session's."""
        return find_holder(self.conn, self.schema, self.tag, name)

    def _take(self, name: str) -> bool:
        return take(self.conn, self.schema, self.tag, name)

    def _release(self, *names: str) -> None:
        release(self.conn, self.schema, self.tag, names)

    def _wait_for(self, name: str, limit_s: float, why: str) -> bool:
        """Take the lock as soon as it is free; False after `limit_s`. `why` is said, with {} in place of its holder."""
        deadline, said = time.monotonic() + limit_s, False
        try:
            while not self._take(name):
                if time.monotonic() > deadline:
                    return False
                if not said and (found := self.holder(name)):
                    said = True
                    self.say(why.format(found))
                if self.stop.wait(POLL_S):
                    raise StoppedError(
                        f"Stopped by the operator in a wait for another command ({self.holder(name) or 'just ended'})."
                    )
        finally:
            if said:
                self.say("")
        return True

    def try_worker(self) -> bool:
        """Take `worker`. Waits up to RETURN_S for a borrowed one. False when another session works."""
        for _ in range(2):  # a borrower may have returned it between the two questions
            if self._take(WORKER):
                return True
            if self.holder(BORROWED):
                wanted = self._take(WANTED)  # another session that waits may have it: the borrower sees that one
                try:
                    return self._wait_for(WORKER, RETURN_S, "{} reads the slot, and lets go")
                finally:
                    if wanted:
                        self._release(WANTED)
        return False

    def release_worker(self) -> None:
        self._release(WORKER)

    @contextmanager
    def borrowing_worker(self) -> Iterator[bool]:
        """Hold `worker` inside the block; yields False when another session works or wants to. The block ends when `worker_wanted`
        says so."""
        borrowed = not self.worker_wanted() and not self.holder(WORKER) and self._take(BORROWED)
        mine = borrowed and self._take(WORKER)
        try:
            yield mine
        finally:
            if borrowed:
                self._release(WORKER, BORROWED)

    def worker_wanted(self) -> bool:
        """Whether a session waits for `worker`, or takes over: a borrower has to return it."""
        return find_holder(self.conn, self.schema, self.tag, HANDOVER, WANTED) is not None

    def handover_wanted(self) -> bool:
        """Whether a command that takes over waits for `worker`, or works."""
        return self.holder(HANDOVER) is not None

    def at_work(self) -> RefusedError:
        """The error for a second worker."""
        return at_work(self.holder(WORKER))

    @contextmanager
    def only_worker(self) -> Iterator[None]:
        """Hold `worker` inside the block. Raises RefusedError, with the session that holds it."""
        if not self.try_worker():
            raise self.at_work()
        try:
            yield
        finally:
            self._release(WORKER)

    @contextmanager
    def only_operator(self) -> Iterator[None]:
        """Hold `operator` inside the block. Raises RefusedError while another cutover, revert, finalize or abort runs."""
        if not self._take(OPERATOR):
            said = "Another cutover, revert, finalize or abort is running ({})."
            raise refusal(self.holder(OPERATOR), said, "Let it end; `swap status` shows what it did.")
        try:
            yield
        finally:
            self._release(OPERATOR)

    @contextmanager
    def only_waiting(self) -> Iterator[None]:
        """Hold `waiting` inside the block. Raises RefusedError while another cutover waits."""
        if not self._take(WAITING):
            raise refusal(
                self.holder(WAITING), "Another cutover waits already ({}).", "`swap cutover --now` lets that one begin."
            )
        try:
            yield
        finally:
            self._release(WAITING)

    @contextmanager
    def operator_again(self, timeout_s: float = RETURN_S) -> Iterator[bool]:
        """Hold `operator` inside the block for another session of the same command, whose first session was lost.

        Tries for `timeout_s`: the server may not know yet that the first session is gone. Yields False when another command holds
        it."""
        mine = self._wait_for(OPERATOR, timeout_s, "the server has not ended the lost session yet ({})")
        try:
            yield mine
        finally:
            if mine:
                self._release(OPERATOR)

    @contextmanager
    def taking_over(self, timeout_s: float = HANDOVER_S) -> Iterator[None]:
        """Hold `handover` and `worker` inside the block. Waits for a running `sync` to finish its batch.

        Raises RefusedError after `timeout_s`, or at once when another command takes over."""
        if not self._take(HANDOVER):
            raise refusal(self.holder(HANDOVER), "Another command is taking over ({}).", "Let it end.")
        try:
            if not self._wait_for(WORKER, timeout_s, "{} finishes its batch"):
                said = f"The running worker did not let go in {timeout_s:.0f} s ({{}})."
                hint = "It finishes a chunk or an index first. Try again, or stop it with SIGTERM."
                raise refusal(self.holder(WORKER), said, hint)
            yield
        finally:
            self._release(WORKER, HANDOVER)

    @contextmanager
    def settling(self, *, wait: bool) -> Iterator[bool]:
        """Hold `settle` inside the block. With `wait` waits for it for SETTLE_S and raises LockError after that; else yields False
        when another session has it."""
        if not wait and not self._take(SETTLE):
            yield False
            return
        if wait and not self._wait_for(SETTLE, SETTLE_S, "{} is at the follow-up of the last exchange"):
            raise LockError(
                f"Another session is at the follow-up of the last exchange ({self.holder(SETTLE) or 'just ended'}).",
                state="The last exchange is committed; that session finishes what follows it.",
                hint="`swap status` shows when it is done. Then run the command again.",
            )
        try:
            yield True
        finally:
            self._release(SETTLE)

    @contextmanager
    def verifying(self) -> Iterator[bool]:
        """Hold `verifying` inside the block. Yields False when another verification has it: waits for VERIFYING_S, because the server may
        not know yet that the session of a killed one is gone."""
        mine = self._wait_for(VERIFYING, VERIFYING_S, "{} verifies too")
        try:
            yield mine
        finally:
            if mine:
                self._release(VERIFYING)
