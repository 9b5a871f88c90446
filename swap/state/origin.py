"""Whether this database is the one in which the state was recorded, before anything in it is believed (invariant 11).

The position in the queue, the watermark of a verification and the ids of exchanges are transaction ids. In another cluster they
mean other transactions: with a smaller counter every new change would count as replayed, and be lost. So the state keeps where it
was recorded: the cluster's system identifier, its timeline, the database, its own table `run`, and the transaction counter.

| copy | what differs |
|---|---|
| a dump that was restored | the database or the table's oid; elsewhere the system identifier too, and perhaps a smaller counter |
| CREATE DATABASE … TEMPLATE | the database's oid |
| pg_upgrade | the system identifier |
| a standby or a base backup that was promoted, recovery to a point in time | the timeline |

A promoted copy is whole: its rows and its state are of one moment. Only nobody knows whether it took over after a failover, or is
a clone beside the original. So it is asked for too, and then taken as it is. A file copy that was started without a promotion has
nothing that differs, and is of one moment as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import psycopg
import sqlalchemy as sa

from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.core.names import quote
from swap.core.rows import fetch
from swap.core.snapshot import Snapshot
from swap.core.sql_text import Query, load_sql, verbatim
from swap.state.store import Store
from swap.state.tables import ENDED, SINCE

SYSTEM = verbatim("(SELECT c.system_identifier::text FROM pg_control_system() c)")
TIMELINE = verbatim(
    "CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"
)
UNKNOWN = verbatim("NULL")


class Here(NamedTuple):
    """Where the session is. `system`, `timeline`: None where the role may not ask, or the server has none. `next_xid`: every id that
    was given here is smaller. `readable`: the tables of the state schema that this role may read."""

    system: str | None
    timeline: int | None
    database: int
    relation: int | None
    server_version: int
    next_xid: int
    readable: tuple[str, ...]


class Recorded(NamedTuple):
    """Where the state was recorded. `xid`: a transaction that was given there."""

    system: str | None
    timeline: int | None
    database: int
    relation: int
    server_version: int
    xid: int


@dataclass(frozen=True)
class Copied:
    """Why the state is that of a copy. `promoted`: the same cluster's, on another timeline: all that it says is still true."""

    reasons: tuple[str, ...]
    promoted: bool

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def read_here(conn: Connection, schema: str) -> Here:
    """Managed servers may refuse the two functions that tell the system and the timeline: then these are not known."""
    tables = ["origin", "run", "capture"]
    query, refused = (
        load_sql("swap.state", "origin.sql"),
        (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported),
    )

    def ask(system: Query, timeline: Query) -> Here:
        text = query.format(system=system, timeline=timeline)
        with conn.transaction():
            return fetch(conn, Here, text, {"schema": schema, "tables": tables})[0]

    for system, timeline in ((SYSTEM, TIMELINE), (SYSTEM, UNKNOWN), (UNKNOWN, TIMELINE)):
        try:
            return ask(system, timeline)
        except refused:
            continue
    return ask(UNKNOWN, UNKNOWN)


def record_origin(store: Store) -> None:
    """Write where the state is now, in the caller's transaction. The table `origin` is there."""
    here, o = read_here(store.conn, store.schema), store.t["origin"]
    store.execute(sa.delete(o))
    where = {n: getattr(here, n) for n in ("system", "timeline", "database", "relation", "server_version")}
    store.execute(sa.insert(o).values(id=1, xid=sa.text("pg_current_xact_id()::text"), **where))


def find_copied(store: Store, version: int) -> Copied | None:
    """Why the state is a copy's, or None. Reads where it was recorded, and the watermarks of runs under way; `version`: of the
    layout, since an older one has recorded no more than its watermarks."""
    here = read_here(store.conn, store.schema)
    if "run" not in here.readable:  # no right to read it, which is another refusal's to say
        return None
    reasons, promoted = list[str](), False
    if version >= SINCE["origin"] and "origin" in here.readable:
        o = store.t["origin"]
        query = sa.select(
            o.c.system, o.c.timeline, o.c.database, o.c.relation, o.c.server_version, sa.cast(o.c.xid, sa.BigInteger).label("xid")
        )
        recorded = store.first(query, Recorded)
        reasons += ["nothing says where it was recorded"] if recorded is None else _elsewhere(recorded, here)
        promoted = not reasons and recorded is not None and _differ(recorded.timeline, here.timeline)
        if promoted and recorded is not None:
            reasons.append(
                f"the server was promoted or recovered since (timeline {recorded.timeline} then, {here.timeline} now): it took over"
                " after a failover, or is a clone of the one that was recorded"
            )
    if "capture" in here.readable and (ahead := _newest(store)) > here.next_xid:
        reasons.append(f"it has seen transaction {ahead - 1}, and this server is at {here.next_xid} only")
        promoted = False
    return Copied(tuple(reasons), promoted) if reasons else None


def _major(at: Here | Recorded) -> int:
    return at.server_version // 10000


def _differ(was: object, now: object) -> bool:
    return was is not None and now is not None and was != now


def _elsewhere(recorded: Recorded, here: Here) -> list[str]:
    out = []
    if _differ(recorded.system, here.system):
        was, now = _major(recorded), _major(here)
        out.append(
            f"it was recorded on the server with system identifier {recorded.system}, and this one has {here.system}"
            + (f" (PostgreSQL {was} then, {now} now)" if was != now else "")
        )
    if recorded.database != here.database:
        out.append(f"it was recorded in another database (oid {recorded.database}, this one has {here.database})")
    if recorded.relation != here.relation:
        out.append("its tables are not those that were recorded: it was restored from a dump")
    if recorded.xid >= here.next_xid:
        out.append(f"it was recorded by transaction {recorded.xid}, and this server is at {here.next_xid} only")
    return out


def _newest(store: Store) -> int:
    """The smallest transaction id that no watermark of a run under way has seen yet."""
    c, r = store.t["capture"], store.t["run"]
    under_way = r.c.phase.not_in([p.value for p in ENDED])
    marks = store.rows(sa.select(c.c.watermark).join(r, r.c.id == c.c.run_id).where(under_way), lambda watermark: watermark)
    return max((Snapshot.parse(w).xmax for w in marks), default=0)


def refuse_copied(schema: str, copied: Copied) -> None:
    """Raises RefusedError, which names what differs and the command that takes the copy over."""
    state = f"Nothing else in it was believed. {NOTHING_CHANGED}"
    if copied.promoted:
        hint = "If this server goes on in place of the other one, or is a clone to work on: `swap adopt-clone` takes the state as it is."
    else:
        hint = "If you meant the original, connect to it. If you mean this copy: `swap adopt-clone` takes it over, and says what that costs."
    raise RefusedError(f"The state in the schema {quote(schema)} is that of a copy: {copied}.", state=state, hint=hint)
