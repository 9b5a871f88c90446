"""The phases of a run and the tables of the state schema. Every table has a primary key: a publication FOR ALL TABLES
does not break on them (H17)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateTable

from swap.core.sql_text import Query, verbatim

DDL = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # runs without parameters: no % is doubled


class Phase(StrEnum):
    """Mirrors the enum `phase` of the state schema."""

    PREPARING = "preparing"
    PREPARED = "prepared"
    BACKFILLING = "backfilling"
    SYNCING = "syncing"
    CUT_OVER = "cut_over"
    FINALIZED = "finalized"
    ABORTED = "aborted"

    @property
    def public(self) -> str:
        """The phase as CLI.md names it: a run that is still being prepared does not exist yet."""
        return "none" if self is Phase.PREPARING else self.value


ENDED = (Phase.FINALIZED, Phase.ABORTED)
MOVES = {
    Phase.PREPARING: {Phase.PREPARED, Phase.ABORTED},
    Phase.PREPARED: {Phase.BACKFILLING, Phase.ABORTED},
    Phase.BACKFILLING: {Phase.SYNCING, Phase.ABORTED},
    Phase.SYNCING: {Phase.CUT_OVER, Phase.ABORTED},
    Phase.CUT_OVER: {Phase.SYNCING, Phase.FINALIZED},
    Phase.FINALIZED: set(),
    Phase.ABORTED: set(),
}


def create_table(table: sa.Table) -> Query:
    return verbatim(str(CreateTable(table).compile(dialect=DDL)).strip())


# Tables that the layouts before these versions do not have. What reads an older layout as it is has to do without them.
SINCE = {"lock": 5, "secret": 6, "bound": 6, "origin": 7, "comparison": 8, "compared_range": 8}


@cache
def tables(schema: str) -> Mapping[str, sa.Table]:
    """The journal's tables in `schema`, by name, in creation order. Made once: it takes longer than most statements on them."""
    md = sa.MetaData(schema=schema)
    now = sa.text("clock_timestamp()")
    stamp = sa.DateTime(timezone=True)

    def ident() -> sa.Column[int]:
        return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)

    def run() -> sa.Column[int]:
        return sa.Column("run_id", sa.BigInteger, nullable=False)

    phase = postgresql.ENUM(*[p.value for p in Phase], name="phase", schema=schema, create_type=False)
    made = [
        sa.Table(  # one row: where the state was recorded (swap.state.origin)
            "origin", md, sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("system", sa.Text), sa.Column("timeline", sa.Integer),
            sa.Column("database", sa.BigInteger, nullable=False), sa.Column("relation", sa.BigInteger, nullable=False),
            sa.Column("server_version", sa.Integer, nullable=False), sa.Column("xid", sa.Text, nullable=False),
            sa.Column("recorded_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "run", md, ident(),
            sa.Column("source_schema", sa.Text, nullable=False),
            sa.Column("source_table", sa.Text, nullable=False),
            sa.Column("phase", phase, nullable=False),
            sa.Column("mode", sa.Text, nullable=False),
            sa.Column("plan", JSONB, nullable=False),
            sa.Column("baseline", JSONB),
            sa.Column("paused", sa.Boolean, nullable=False, server_default="false"),
            sa.Column("bound", sa.BigInteger),
            sa.Column("complete_xid", sa.Text),
            sa.Column("verified", sa.Text),
            sa.Column("created_at", stamp, nullable=False, server_default=now),
            sa.Column("changed_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "fence", md, sa.Column("tag", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
        ),
        sa.Table(  # the large object with the secret that the uuids of a source are derived with
            "secret", md, sa.Column("tag", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("object", postgresql.OID, nullable=False),
        ),
        sa.Table(  # the last key, or heap block, of a backfill: later rows are in the queue
            "bound", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("part", sa.Text, primary_key=True), sa.Column("last", sa.BigInteger, nullable=False),
        ),
        sa.Table(  # the session that holds a lock: swap.state.lock_rows
            "lock", md, sa.Column("name", sa.Text, primary_key=True),
            sa.Column("tag", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("pid", sa.Integer, nullable=False), sa.Column("began", stamp), sa.Column("role", sa.BigInteger, nullable=False),
        ),
        sa.Table(
            "capture", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("watermark", sa.Text, nullable=False),
            sa.Column("active", sa.SmallInteger, nullable=False, server_default="0"),
            sa.Column("replayed", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("replayed_at", stamp),
        ),
        sa.Table(  # logical capture: everything committed before `position` (a WAL position as a number) is in the queue
            "stream", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("slot", sa.Text, nullable=False), sa.Column("position", sa.BigInteger, nullable=False),
            sa.Column("entries", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("moved_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "chunk", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("part", sa.Text, primary_key=True), sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("low", sa.BigInteger, nullable=False), sa.Column("high", sa.BigInteger, nullable=False),
            sa.Column("rows", sa.BigInteger), sa.Column("done_at", stamp),
        ),
        sa.Table(
            "step", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("done_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "verification", md, ident(), run(),
            sa.Column("method", sa.Text, nullable=False), sa.Column("direction", sa.Text, nullable=False),
            sa.Column("verdict", sa.Text, nullable=False), sa.Column("snapshot", sa.Text),
            sa.Column("fingerprint", sa.Text), sa.Column("repaired", sa.Boolean, nullable=False),
            sa.Column("report", JSONB), sa.Column("started_at", stamp, nullable=False),
            sa.Column("finished_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "range_digest", md, sa.Column("verification_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("part", sa.Text, primary_key=True), sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("low", sa.BigInteger), sa.Column("high", sa.BigInteger),
            sa.Column("rows", sa.BigInteger, nullable=False), sa.Column("digest", sa.Text, nullable=False),
        ),
        sa.Table(  # the verification under way: swap.state.comparisons
            "comparison", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("conditions", JSONB, nullable=False), sa.Column("snapshot", sa.Text, nullable=False),
            sa.Column("watermark", sa.Text, nullable=False), sa.Column("began_at", stamp, nullable=False, server_default=now),
            sa.Column("compared_at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(  # its key ranges, all of which are planned when it begins with a table
            "compared_range", md, sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("part", sa.Text, primary_key=True), sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("low", sa.BigInteger), sa.Column("high", sa.BigInteger),
            sa.Column("snapshot", sa.Text), sa.Column("lsn", sa.Text), sa.Column("watermark", sa.Text),
            sa.Column("origin_rows", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("target_rows", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("origin_digest", sa.Text), sa.Column("target_digest", sa.Text),
            sa.Column("pending", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("counted", sa.Boolean, nullable=False, server_default="false"), sa.Column("compared_at", stamp),
        ),
        sa.Table(
            "attempt", md, ident(), run(),
            sa.Column("kind", sa.Text, nullable=False), sa.Column("xid", sa.Text),
            sa.Column("outcome", sa.Text, nullable=False), sa.Column("detail", sa.Text),
            sa.Column("at", stamp, nullable=False, server_default=now),
        ),
        sa.Table(
            "hook", md, ident(), run(),
            sa.Column("name", sa.Text, nullable=False), sa.Column("argv", JSONB, nullable=False),
            sa.Column("exit_code", sa.Integer), sa.Column("snapshot", sa.Text), sa.Column("output", sa.Text),
            sa.Column("started_at", stamp, nullable=False), sa.Column("finished_at", stamp),
        ),
        sa.Table(
            "event", md, ident(), run(),
            sa.Column("at", stamp, nullable=False, server_default=now),
            sa.Column("kind", sa.Text, nullable=False), sa.Column("message", sa.Text, nullable=False),
        ),
    ]  # fmt: skip
    return {t.name: t for t in made}
