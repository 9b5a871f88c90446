"""Proof that a clone is not production, before anything is written to it.

| clone | what proves it |
|---|---|
| a dump that was restored, on another server | another system identifier, or another oid of the database |
| CREATE DATABASE … TEMPLATE | another oid of the database |
| a base backup or a snapshot that was promoted | it has both from its origin. Both servers take writes and are on different timelines; |
| | and a lock that a session of production holds is free on the clone |

Two sessions of one database always agree on the first two, and of one server on the timeline: only a promotion changes it, and
a server that takes writes is not being promoted. Without a proof nothing is written, however sure the operator is.
"""

from __future__ import annotations

import secrets

from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.state.origin import Here, read_here

STATE = f"The clone was only read. {NOTHING_CHANGED}"
ANOTHER = "Name a clone: `--on` another database or server, or `--clone` makes one."


def prove_not_production(production: Connection, clone: Connection, schema: str) -> str:
    """The proof, in words. Raises RefusedError where there is none. Writes nothing."""
    if clone.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        raise RefusedError(
            "The clone is a standby: nothing can be written there.",
            state=STATE,
            hint="Promote it first (pg_promote()), if it is a clone and nothing depends on it; or let `--clone basebackup` make one.",
        )
    here, there = read_here(production, schema), read_here(clone, schema)
    proof = _differs(here, there)
    if proof is None and _other_timeline(here, there):
        proof = f"a promoted copy: timeline {there.timeline}, production is on {here.timeline}"
    if proof is None or not _takes_lock_of(production, clone):
        raise RefusedError(
            "The clone cannot be told from production: " + _same(here, there) + ".",
            state=STATE,
            hint=ANOTHER,
        )
    return proof


def _differs(here: Here, there: Here) -> str | None:
    if here.system and there.system and here.system != there.system:
        return f"another system identifier: {there.system}, production has {here.system}"
    if here.database != there.database:
        return f"another database: oid {there.database}, production has {here.database}"
    return None


def _other_timeline(here: Here, there: Here) -> bool:
    return here.timeline is not None and there.timeline is not None and here.timeline != there.timeline


def _same(here: Here, there: Here) -> str:
    system = here.system or "not known to this role"
    timeline = f"timeline {there.timeline}" if there.timeline is not None else "a timeline that this role may not ask for"
    return f"the database has oid {there.database} in both, the system identifier is {system}, and it is on {timeline}"


def _takes_lock_of(production: Connection, clone: Connection) -> bool:
    """Whether an advisory lock that production's session holds is free in the clone: then these are two databases."""
    key = sql.Literal(secrets.randbits(62))
    production.execute(sql.SQL("SELECT pg_advisory_lock({})").format(key))
    try:
        free = clone.execute(sql.SQL("SELECT pg_try_advisory_lock({})").format(key)).fetchone() == (True,)
        if free:
            clone.execute(sql.SQL("SELECT pg_advisory_unlock({})").format(key))
        return free
    finally:
        production.execute(sql.SQL("SELECT pg_advisory_unlock({})").format(key))
