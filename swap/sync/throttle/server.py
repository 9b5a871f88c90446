"""The throttles that one question to the server answers: replicas, load, lock waits, WAL, slots."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from psycopg import sql

from swap.core.blockers import OWN
from swap.core.config import Sync
from swap.core.connection import Connection
from swap.core.names import quote
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.core.throttle_settings import Throttle

RATE_OVER_S = 5.0
KEPT_S = 3700.0  # of positions: longer than any max_replica_lag_s


@dataclass(frozen=True)
class Replica:
    """`replayed`: a WAL position as a number. `said_s`: the lag that the server measured last, None where it knows of none."""

    name: str
    replayed: int
    said_s: float | None
    behind_bytes: int


@dataclass(frozen=True)
class Load:
    active: int
    hidden: int


@dataclass(frozen=True)
class Slot:
    name: str
    kept_bytes: int


@dataclass
class WalClock:
    """When the WAL was where. The server's own `replay_lag` stands still while a replica does: here the lag of such a replica grows."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, position: int) -> None:
        self.samples.append((now, position))
        while now - self.samples[0][0] > KEPT_S:
            self.samples.popleft()

    def behind_s(self, replayed: int, now: float) -> float:
        """How long ago the WAL went past what is replayed, as far as it was watched."""
        return next((now - at for at, position in self.samples if position > replayed), 0.0)

    def bytes_per_s(self) -> float:
        """Over the last RATE_OVER_S; 0 until there are two positions."""
        if len(self.samples) < 2:
            return 0.0
        now, position = self.samples[-1]
        began, before = next((s for s in self.samples if now - s[0] <= RATE_OVER_S), self.samples[-2])
        if now <= began:
            began, before = self.samples[-2]
        return (position - before) / (now - began) if now > began else 0.0


def server_reasons(conn: Connection, sync: Sync, limits: Throttle, wal: WalClock, now: float) -> Iterator[str]:
    """Why to wait, each reason with the limit that it is over. Asks the server for what has a limit, and for nothing else."""
    if limits.max_replica_lag_s is not None or limits.max_wal_bytes_per_s is not None:
        wal.add(now, fetch_values(conn, sql.SQL("SELECT (pg_current_wal_lsn() - '0/0')::bigint"))[0])
    yield from _replicas(conn, sync, limits, wal, now)
    if limits.max_load is not None:
        yield from _load(conn, limits.max_load)
    if limits.max_lock_waits is not None:
        (waits,) = fetch_values(conn, load_sql("swap.sync.throttle", "lock_waits.sql"), OWN)
        if waits > limits.max_lock_waits:
            yield f"sessions that wait for a lock: {waits:,} (throttle.max_lock_waits = {limits.max_lock_waits:,})"
    if limits.max_wal_bytes_per_s is not None and (rate := wal.bytes_per_s()) > limits.max_wal_bytes_per_s:
        yield f"WAL is written at {rate:,.0f} bytes/s (throttle.max_wal_bytes_per_s = {limits.max_wal_bytes_per_s:,})"
    if limits.max_slot_wal_bytes is not None:
        for slot in fetch(conn, Slot, load_sql("swap.sync.throttle", "slots.sql")):
            if slot.kept_bytes > limits.max_slot_wal_bytes:
                limit = f"throttle.max_slot_wal_bytes = {limits.max_slot_wal_bytes:,}"
                yield f"the slot {slot.name} keeps {slot.kept_bytes:,} bytes of WAL ({limit})"


def _streaming(conn: Connection) -> list[Replica]:
    """The farthest behind comes first."""
    return fetch(conn, Replica, load_sql("swap.sync.throttle", "replicas.sql"))


def _too_far(found: list[Replica], limit_bytes: int) -> Iterator[str]:
    if found and found[0].behind_bytes > limit_bytes:
        yield f"replica {found[0].name} is {found[0].behind_bytes:,} bytes behind (sync.max_replica_lag_bytes = {limit_bytes:,})"


def _replicas(conn: Connection, sync: Sync, limits: Throttle, wal: WalClock, now: float) -> Iterator[str]:
    """Without pg_monitor the server shows no positions, and nothing is known of bytes. Whoever asks for seconds gets them, or a
    reason why not."""
    found = _streaming(conn)
    yield from _too_far(found, sync.max_replica_lag_bytes)
    if limits.max_replica_lag_s is None:
        return
    if not found and not _sees_others(conn):
        yield f"the lag of replicas is hidden from this role: {_grant(conn)} (throttle.max_replica_lag_s)"
    late = [(max(wal.behind_s(r.replayed, now), r.said_s or 0.0), r.name) for r in found]
    if late and max(late)[0] > limits.max_replica_lag_s:
        seconds, name = max(late)
        yield f"replica {name} is {seconds:.0f} s behind (throttle.max_replica_lag_s = {limits.max_replica_lag_s})"


def _load(conn: Connection, limit: int) -> Iterator[str]:
    (load,) = fetch(conn, Load, load_sql("swap.sync.throttle", "load.sql"), OWN)
    if load.hidden and not _sees_others(conn):
        yield f"what other sessions do is hidden from this role: {_grant(conn)} (throttle.max_load)"
    elif load.active > limit:
        yield f"active sessions: {load.active:,} (throttle.max_load = {limit:,})"


def _sees_others(conn: Connection) -> bool:
    return fetch_values(conn, sql.SQL("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")) == [True]


def _grant(conn: Connection) -> str:
    return f"GRANT pg_read_all_stats TO {quote(conn.info.user)}"
