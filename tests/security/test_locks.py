"""Nobody but the owner of the state schema can take a lock that a command waits for (H42, H63)."""

from __future__ import annotations

from itertools import product

import pytest

from swap.core.session_settings import OWN_CLASS
from swap.state.upgrade import LEGACY_LOCKS
from tests.support.operator import MakeOperator
from tests.support.servers import Connect
from tests.support.waiting import wait_until

# Of the swap that took advisory locks: five classes, beside the one that marks sessions, with the source's number; and one of the schema.
CLASSES = (OWN_CLASS, *range(LEGACY_LOCKS[0], LEGACY_LOCKS[0] + 5))
COURSE = (
    ("pause",), ("resume",), ("prepare",), ("sync", "--once"), ("verify",), ("cutover", "--yes", "--no-snapshot"), ("sync", "--once"),
    ("verify",), ("revert", "--yes"), ("sync", "--once"), ("verify",), ("cutover", "--yes", "--no-snapshot"), ("finalize", "--yes"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.both_modes
def test_a_stranger_with_every_advisory_lock_stops_nothing(operator: MakeOperator, connect: Connect) -> None:
    op = operator("fresh", users=60)
    op("prepare")
    stranger = connect(op.db.app)
    tags = [0, *(r[0] for r in stranger.execute("SELECT oid::bigint FROM pg_class WHERE relkind = 'r' AND oid > 16000"))]
    for number, tag in product(CLASSES, tags):
        stranger.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [number, tag])
    stranger.execute("SELECT pg_advisory_lock(hashtext('swap')), pg_advisory_lock(hashtext('public.users'))")
    for command in COURSE:
        op(*command)
    assert op.status()["phase"] == "finalized"


def test_a_stranger_with_every_advisory_lock_at_the_beginning(operator: MakeOperator, connect: Connect) -> None:
    """Before there is a state schema, and to the other end."""
    op = operator("fresh", users=60)
    stranger = connect(op.db.app)
    (tag,) = stranger.execute("SELECT 'public.users'::regclass::oid::bigint").fetchone() or (0,)
    for number in CLASSES:
        stranger.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [number, tag])
    stranger.execute("SELECT pg_advisory_lock(hashtext('swap'))")
    for command in (("prepare",), ("sync", "--once"), ("abort", "--yes")):
        op(*command)
    assert op.status()["phase"] == "aborted"


def test_two_commands_keep_each_other_out_all_the_same(ready_operator: MakeOperator, connect: Connect) -> None:
    op = ready_operator()
    running, owner = op.start("sync"), connect(op.db.owner)
    wait_until(lambda: owner.execute("SELECT pid FROM swap.lock WHERE name = 'worker'").fetchone(), what="sync works")
    assert "Another swap is already at work" in op.refused("sync", "--once", code=3)["message"]
    assert op("cutover", "--yes", "--no-snapshot").json["outcome"] == "committed"
    assert running.process.poll() is None


def test_a_verification_names_what_it_waits_for(ready_operator: MakeOperator, connect: Connect) -> None:
    """H63: another session keeps a table from every reader."""
    op = ready_operator()
    holder = connect(op.db.owner, autocommit=False)
    holder.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    running = op.start("verify")
    running.wait_line(f"waiting: a lock that is not free: pid {holder.info.backend_pid} ", 30)
    holder.rollback()
    assert running.wait().code == 0
