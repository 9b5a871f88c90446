"""The stream: committed changes of the captured tables become entries of the change tables.

Two threads. The reader owns the replication connection: it decodes, and it answers the server in time however slow
anything else is. The writer owns a session: a chunk of entries and the WAL position they reach are one transaction, and
the position is confirmed to the server only when that has committed. So after `kill -9` or a crash the server sends again
the changes that were not noted: at least once, never less. A key that is noted twice is replayed twice.

The position is confirmed only when the stream itself has come past the commit that noted it. The server sends a failover slot
nothing that the standbys of `synchronized_standby_slots` have not got. So a standby cannot have the slot's new position
without the journal's, and after a promotion the slot is never ahead of the journal.

An entry holds the id of the transaction that changed the row (`origin`) beside that of the stream's own (`xid`). A
decoded commit is not yet a visible one: the commit record is written before the transaction leaves the list of running
ones, and with a synchronous standby that does not answer minutes may lie between (H9). See swap.sync.change_queue for what
replay does with that.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

import psycopg

from swap.core.connection import Database
from swap.core.errors import DefectError, SwapError, UnreachableError
from swap.ddl.replication import publication_name
from swap.plan.model import Plan
from swap.prepare.slot import read_slot
from swap.sync.logical.decoding import Decoder
from swap.sync.logical.entries import Chunk, captured_tables, here, note, table_in_use
from swap.sync.logical.link import Link, LinkError
from swap.sync.logical.position import check_journalled, check_publication, check_slot, end_reader

CHUNK = 10_000
# Entries are gathered this long, and messages read at such intervals: a commit for each single-row transaction, and a process
# that wakes for each, would cost more than all the rest. A session that waits for a barrier waits for neither.
GATHER_S = 0.1
NAP_S = 0.02
LAST_S = 0.2  # at the end: for the server to send what lies behind the last note, so that it can be confirmed
STATUS_S = 1.0
IDLE_POSITION_S = 10.0
PATIENCE_S = 60.0
GONE_S = 5.0
RECONNECTS = 20


class Stream:
    """A context: reads while it is open. `position` is committed; `raise_error` says why it ended, if it did."""

    def __init__(self, database: Database, plan: Plan, run_id: int) -> None:
        self._database, self._plan, self._run_id = database, plan, run_id
        self.position = 0
        self._confirmed = 0
        self._notes: deque[tuple[int, int]] = deque()  # positions, and the ends of the commits that noted them
        self._moved = threading.Condition()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._chunks: queue.Queue[Chunk | None] = queue.Queue(maxsize=1)
        self._idle = threading.Event()
        self._bell, self._wake = socket.socketpair()
        self._threads: list[threading.Thread] = []
        self._slot = ""
        self._decoder = Decoder(captured_tables(plan))
        self._waiting = 0

    def __enter__(self) -> Stream:
        self._conn = self._database.connect("capture")
        try:
            # Local: a standby that does not answer would stop capture. A slot that outlives a failover ahead of the
            # journal (`synchronized_standby_slots` does not name the standby) is noticed (`check_slot`).
            self._conn.execute("SET synchronous_commit = local")
            self._start()
            link = self._open()
        except BaseException:
            self._conn.close()
            self._close_bell()
            raise
        self._idle.set()
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._write,), name="capture writer"),
            threading.Thread(target=self._guarded, args=(lambda: self._read(link),), name="capture reader"),
        ]
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._ring()
        writer, reader = self._threads
        reader.join()
        with contextlib.suppress(queue.Full):
            self._chunks.put_nowait(None)
        writer.join()
        self._conn.close()
        self._close_bell()

    def raise_error(self) -> None:
        """Raises the error that ended the stream, if there is one."""
        if self._error is not None:
            raise self._error

    def wait_past(self, position: int, timeout_s: float) -> bool:
        """Until everything that committed before `position` is in the change tables. Raises the error that ended the stream."""
        with self._moved:
            self._waiting += 1
            self._ring()
            done = self._moved.wait_for(lambda: self.position >= position or self._error is not None, timeout_s)
            self._waiting -= 1
        if self.position < position:
            self.raise_error()
        return done

    # Beginning.

    def _start(self) -> None:
        """From the journal's position on. Raises CaptureLostError when the slot has not kept all that lies behind it."""
        slot, self.position = check_journalled(self._conn, self._plan, self._run_id)
        self._slot, self._confirmed = slot.name, slot.confirmed
        self._decoder.near_xid, end = here(self._conn)
        self._notes.append((self.position, end))  # by the session that read the slot before

    def _open(self) -> Link:
        """Open the link. Waits for a reader that is just ending (`sync` hands over). One that does not end no longer holds the
        worker, since this command does: its machine is gone, and the server has not noticed (`wal_sender_timeout`)."""
        began = time.monotonic()
        while True:
            try:
                return Link(self._database, self._slot, publication_name(self._plan), self.position)
            except LinkError as e:
                waited = time.monotonic() - began
                if not e.active or waited > PATIENCE_S or self._stop.is_set():
                    raise
                if waited > GONE_S:
                    with self._database.session("slot") as conn:
                        end_reader(conn, self._slot)
            time.sleep(0.02)

    # The reader.

    def _read(self, link: Link) -> None:
        failures = 0
        while True:
            began = self.position
            try:
                self._receive(link)
            except LinkError:
                failures = 0 if self.position > began else failures + 1
                if failures > RECONNECTS:
                    raise
            else:
                return
            finally:
                link.close()
            if self._stop.wait(min(2.0, 0.1 * (failures + 1))):
                return
            self._decoder.begin()
            link = self._reconnect()

    def _reconnect(self) -> Link:
        with self._database.session("slot") as conn:
            check_publication(conn, self._plan)
            check_slot(read_slot(conn, self._slot), self._slot, self.position)
        return self._open()

    def _receive(self, link: Link) -> None:
        decoder = self._decoder
        told, noted = 0.0, time.monotonic()
        ends: float | None = None  # the last note is waited for this long after the stop
        while True:
            if self._feed(link):
                told = 0.0
            count = decoder.count
            now = time.monotonic()
            if self._stop.is_set():
                ends = ends or now + LAST_S
                if now >= ends or (self._idle.is_set() and not self._notes):
                    return
            else:
                gathered = count >= CHUNK or (count and now - noted >= GATHER_S)
                due = gathered or decoder.urgent or (decoder.reached > self.position and now - noted > IDLE_POSITION_S)
                if due and self._idle.is_set():
                    self._idle.clear()
                    noted = now
                    self._chunks.put(Chunk(*decoder.take(), max(decoder.reached, self.position)))
            confirmed = self._confirmable()
            if now - told > STATUS_S or confirmed > self._confirmed:
                told = now
                link.confirm(confirmed)
                self._confirmed = confirmed
            if count >= CHUNK:
                self._idle.wait(0.1)
            elif self._waiting or ends:
                link.wait(NAP_S, self._bell)
            else:
                link.wait(GATHER_S if count else STATUS_S / 2, self._bell, NAP_S)
            self._hush()

    def _feed(self, link: Link) -> bool:
        """Decode what has arrived, up to CHUNK entries. True when the server wants an answer."""
        answer = False
        while (room := CHUNK - self._decoder.count) > 0:
            for _ in range(room):  # a message is one entry, seldom more
                data = link.receive()
                if data is None:
                    return answer
                answer = self._decoder.feed(data) or answer
        return answer

    def _confirmable(self) -> int:
        """The newest noted position whose note the stream has come past."""
        confirmed, sent = self._confirmed, max(self._decoder.sent, self._decoder.reached)
        while self._notes and self._notes[0][1] <= sent:
            confirmed = self._notes.popleft()[0]
        return confirmed

    # The writer.

    def _write(self) -> None:
        table_no = table_in_use(self._conn, self._plan, self._run_id)
        while True:
            try:
                chunk = self._chunks.get(timeout=STATUS_S / 5)
            except queue.Empty:
                if self._stop.is_set():
                    return
                continue
            if chunk is None:
                return
            table_no, self._decoder.near_xid, end = note(self._conn, self._plan, self._run_id, chunk, table_no)
            with self._moved:
                self.position = max(self.position, chunk.position)
                self._notes.append((self.position, end))
                self._moved.notify_all()
            self._idle.set()
            self._ring()

    # Both.

    def _guarded(self, work: Callable[[], None]) -> None:
        """`raise_error` raises the error that ends `work` before its time. A thread has no caller, and only the next barrier
        would find out that capture has stopped in silence."""
        finished = False
        try:
            work()
            finished = True
        except SwapError as e:
            self._fail(e)
        except psycopg.Error as e:
            self._fail(UnreachableError(f"Capture's session failed: {e}."))
        finally:
            if not finished:
                self._fail(DefectError("Capture's thread ended unforeseen; the traceback says where."))  # if nothing else did
                self._stop.set()

    def _fail(self, error: BaseException) -> None:
        with self._moved:
            self._error = self._error or error
            self._moved.notify_all()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b"!", socket.MSG_DONTWAIT)

    def _hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096, socket.MSG_DONTWAIT)

    def _close_bell(self) -> None:
        self._bell.close()
        self._wake.close()
