"""What a verification has compared, kept in the journal: one that was interrupted goes on behind it.

A range counts again only while everything holds that made it count: the changes since its snapshot are all in the queue (the row
in the journal keeps them, swap/sync/rotate.py), so they are compared as changed keys; capture has not been changed since; and the
tables, their key indexes, the structure, the plan, the direction, the method and this program are the same. A copy of the
database is refused before anything is read (swap/state/origin.py). Any difference begins afresh, and says why.

Only ranges whose two sides are equal are kept. One that differs is compared again, so its difference is found again.

The count that proves an index complete is made when a snapshot is given up. Ranges of a snapshot that a kill cut off were not
counted. They are when the next verification begins: an index with the same file that returns every row now did so then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.snapshot import Snapshot
from swap.core.units import duration
from swap.plan.direction import TableMapping
from swap.state.comparisons import ComparedRange, Comparison
from swap.state.migration import Migration
from verify.capture_since import changed_since
from verify.checksum import MASK, RangeDigest, RowSum
from verify.ranges import KeyRange
from verify.report import RangeRecord, SnapshotRecord
from verify.snapshots import ExportedSnapshot, lock_change_tables, why_unpinned
from verify.table_files import table_files

CHANGED = {
    "direction": "names were exchanged since",
    "method": "it compared with another method",
    "plan": "the run follows another plan",
    "mode": "changes are captured in another way",
    "structure": "the structure has changed",
    "files": "a table was rewritten, truncated, replaced or attached",
    "indexes": "an index of a key was made again",
    "tool": "it was of another version of swap",
    "server": "the server has another version",
    "standby": "it compared on another server",
}
Conditions = dict[str, Any]


def conditions_of(m: Migration, structure: str | None, tables: Mapping[TableName, Table], **more: Any) -> Conditions:
    """What has to be the same for a compared range to count: JSON, with the keys of CHANGED. `more`: method, tool, standby."""
    keys = {(d.origin, d.origin_key) for d in m.mappings if d.integer_key}
    keys |= {(d.target, d.target_key) for d in m.mappings if d.integer_key}
    indexes = [
        TableName(table.schema, i.name) for table, key in keys for i in tables[table].indexes if i.key_columns[:1] == (key,)
    ]  # fmt: skip
    return {
        "direction": str(m.direction), "plan": m.plan.fingerprint, "mode": m.run.mode, "structure": structure,
        "files": _files(m.conn, tables), "indexes": _files(m.conn, indexes), "server": m.conn.info.server_version, **more,
    }  # fmt: skip


def _files(conn: Connection, names: Iterable[TableName]) -> dict[str, list[int | None]]:
    return {str(name): [*file] for name, file in sorted(table_files(conn, names).items())}


@dataclass
class KeptRanges:
    """The ranges of one verification. `m`: on an autocommit session of the primary. `queue`: the session that holds the queue's
    entries since before this was made. `active`: False where another verification keeps its own. `earlier`: the snapshots of what is
    gone on with. `covered`: what was compared before is equal up to here."""

    m: Migration
    queue: Connection
    active: bool
    conditions: Conditions
    earlier: list[SnapshotRecord] = field(default_factory=list)
    covered: str | None = None
    began_at: datetime | None = None
    resumed: int = 0
    _begun: bool = False

    def take_up(self, *, afresh: bool = False) -> None:
        """Go on with the verification that was interrupted, where there is one and its ranges still count."""
        journal, run_id = self.m.journal, self.m.run.id
        found = journal.comparisons.find(run_id) if self.active else None
        if found is None:
            return
        if why := "it was asked for" if afresh else self._why_not(found):
            self.m.report.note(f"compares everything: what an interrupted verification had compared does not count, {why}")
            self.forget()
            return
        self._begun, self.covered, self.began_at = True, found.watermark, found.began_at
        done = [r for d in self.m.mappings for r in journal.comparisons.ranges(run_id, str(d.origin)) if r.done]
        self.resumed = len(done)
        self.earlier = [SnapshotRecord(found.snapshot, "", found.watermark)]
        for r in sorted(done, key=lambda r: Snapshot.parse(r.snapshot or "").xmax):
            record = SnapshotRecord(snapshot=r.snapshot or "", lsn=r.lsn or "", watermark=r.watermark or "")
            if record.snapshot == found.snapshot:
                self.earlier[0] = record
            elif record not in self.earlier:
                self.earlier.append(record)
        self.m.report.note(
            f"goes on with the verification that began {found.began_at:%Y-%m-%d %H:%M:%S}: {len(done)} ranges are done"
        )

    def _why_not(self, found: Comparison) -> str:
        """Why the ranges do not count any more; empty when they do."""
        for name, why in CHANGED.items():
            if found.conditions.get(name) != self.conditions.get(name):
                return why
        if found.idle_s > self.m.config.verify.max_age_s:
            return f"it ended {duration(found.idle_s)} ago ([verify] max_age_s)"
        if found.idle_s < 0:
            return "the server's clock was set back"
        if changed := changed_since(self.m.conn, self.m.plan, found.snapshot):
            return f"what captures changes was changed since: {'; '.join(changed)}"
        return ""

    def begin(self, snapshot: ExportedSnapshot) -> None:
        """Journal that a verification has begun in its first snapshot. From then on the queue's entries are kept for it."""
        if not self.active or self._begun:
            return
        conn, journal = self.m.conn, self.m.journal
        with conn.transaction():
            # Both together: no entry was dropped before this lock, and none is dropped before the commit.
            lock_change_tables(conn, self.m.plan)
            if why_unpinned(self.queue):
                self.active = False
                return
            journal.comparisons.begin(self.m.run.id, self.conditions, snapshot.text, snapshot.watermark)
        self._begun = True

    def forget(self) -> None:
        """Every range is due again."""
        if self.active:
            with self.m.conn.transaction():
                self.m.journal.comparisons.forget(self.m.run.id)
        self._begun, self.covered, self.began_at, self.resumed, self.earlier = False, None, None, 0, []

    def of(self, mapping: TableMapping) -> KeptPart:
        part = str(mapping.origin)
        ranges = self.m.journal.comparisons.ranges(self.m.run.id, part) if self.active and self._begun else []
        return KeptPart(self, part, ranges)

    @property
    def keeps(self) -> bool:
        return self.active and self._begun


@dataclass
class KeptPart:
    """The ranges of one swapped table, as the journal has them: none before they are planned."""

    kept: KeptRanges
    part: str
    ranges: list[ComparedRange]

    @property
    def planned(self) -> tuple[KeyRange, ...]:
        return tuple(KeyRange(r.number, r.low, r.high) for r in self.ranges)

    @property
    def done(self) -> list[ComparedRange]:
        return [r for r in self.ranges if r.done]

    @property
    def uncounted(self) -> list[KeyRange]:
        """The compared ranges whose rows were not counted."""
        return [KeyRange(r.number, r.low, r.high) for r in self.ranges if r.done and not r.counted]

    def plan(self, ranges: Sequence[KeyRange]) -> None:
        if self.kept.keeps:
            with self.kept.m.conn.transaction():
                planned = [ComparedRange(self.part, r.number, r.low, r.high) for r in ranges]
                self.kept.m.journal.comparisons.plan(self.kept.m.run.id, planned)

    def finish(self, record: RangeRecord, snapshot: ExportedSnapshot, pending: int) -> None:
        """Both sides of the range are equal. A crash of the server may take it back, and then the range is due again."""
        if not self.kept.keeps:
            return
        done = ComparedRange(
            part=self.part, number=record.number, low=record.low, high=record.high, snapshot=snapshot.text, lsn=snapshot.lsn,
            watermark=str(snapshot.watermark), origin_rows=record.origin_rows, target_rows=record.target_rows,
            origin_digest=record.origin_digest, target_digest=record.target_digest, pending=pending,
        )  # fmt: skip
        m = self.kept.m
        with m.conn.transaction():
            m.conn.execute("SET LOCAL synchronous_commit = off")
            m.journal.comparisons.finish(m.run.id, done)

    def mark_counted(self, ranges: Iterable[KeyRange]) -> None:
        if self.kept.keeps:
            with self.kept.m.conn.transaction():
                self.kept.m.journal.comparisons.mark_counted(self.kept.m.run.id, self.part, [r.number for r in ranges])

    def records(self) -> list[RangeRecord]:
        """The compared ranges, for the report."""
        numbers = {s.snapshot: n for n, s in enumerate(self.kept.earlier, 1)}
        return [
            RangeRecord(
                table=self.part, number=r.number, low=r.low, high=r.high, snapshot=numbers[r.snapshot or ""],
                origin_rows=r.origin_rows, target_rows=r.target_rows, origin_digest=r.origin_digest, target_digest=r.target_digest,
            )
            for r in self.done
        ]  # fmt: skip

    def digests(self) -> list[RangeDigest]:
        """The digests of the compared ranges; none with the method `exact`."""
        return [
            RangeDigest(
                KeyRange(r.number, r.low, r.high), RowSum(r.origin_rows, _sum(r.origin_digest)), RowSum(r.target_rows, _sum(r.target_digest))
            )
            for r in self.done
            if r.origin_digest is not None
        ]  # fmt: skip


def _sum(digest: str | None) -> int:
    return int(digest or "0", 16) & MASK
