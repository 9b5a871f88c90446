"""H60: the queue's entries that a cutover compares once more are there for as long as it may rely on the verification."""

from __future__ import annotations

from contextlib import closing

import pytest
from psycopg import sql

from cutover.gates import Verified, check_gates
from swap.core.errors import RefusedError
from swap.ddl.change_tables import change_table
from swap.state.migration import Migration
from swap.sync.rotate import rotate
from tests.support.migration import Driver, Session, Synced
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until
from verify.snapshots import pin_change_tables

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, amount numeric);
INSERT INTO users (amount) SELECT n FROM generate_series(1, 8) n;
"""


@pytest.fixture
def m(synced: Synced, database: Database, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr("swap.sync.rotate.SWITCH_BYTES", 1)
    made = synced(database, SCHEMA)
    made.forget()
    return made


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


def entries(m: Driver, table_no: int) -> int:
    m.deliver()
    row = m.conn.execute(sql.SQL("SELECT count(*) FROM {}").format(change_table(m.plan, table_no).sql)).fetchone()
    assert row is not None
    return int(row[0])


def age(m: Driver, by: str) -> None:
    m.conn.execute(sql.SQL("UPDATE swap.verification SET finished_at = finished_at + {}::interval").format(sql.Literal(by)))


def test_rotation_keeps_what_the_cutover_compares_again(m: Driver, app: Session) -> None:
    """H60, DESIGN 8: entries newer than the last clean verification stay while a cutover may rely on it. When it is too old, by
    whatever clock, they go together with its mark, so that no cutover relies on it."""
    stale = m.run
    assert m.verify().verdict == "identical"
    m.run = stale  # as a `sync` has it that read the run one step before the verification committed
    app.execute("UPDATE users SET amount = 2 WHERE id = 1")
    m.drain()
    assert rotate(m)
    assert not rotate(m)
    assert entries(m, 0) == 1
    age(m, "-1 year")  # the clock jumps
    assert rotate(m)
    assert entries(m, 0) == 0
    age(m, "1 year")
    assert m.reload().verified is None
    with pytest.raises(RefusedError, match="does not count"):
        check_gates(m)
    assert m.verify().verdict == "identical"
    m.reload()
    check_gates(m)
    age(m, "1 hour")
    with pytest.raises(RefusedError, match="in the future"):
        check_gates(m)


def test_a_verification_that_is_being_written_is_waited_for(m: Driver, app: Session) -> None:
    """H60: its entries are kept from before its first snapshot until its mark is committed."""
    m.drain()
    with closing(m.database.connect()) as queue:
        pin_change_tables(queue, m.plan)
        app.execute("UPDATE users SET amount = 2 WHERE id = 1")
        m.drain()
        assert rotate(m)
        assert not rotate(m)
        assert entries(m, 0) == 1
    wait_until(lambda: rotate(m), what="truncated")


def test_a_mark_that_goes_between_the_gates_and_the_exchange(m: Driver, app: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """H60: given a `sync` that finds the verification too old after the gates have seen it, then the exchange is refused."""
    assert m.verify().verdict == "identical"

    def and_then(migration: Migration, grace_s: float = 0.0) -> Verified:
        found = check_gates(migration, grace_s)
        if grace_s:
            app.execute("UPDATE users SET amount = 2 WHERE id = 1")
            m.deliver()
            m.drain()
            assert rotate(m)
            age(m, "-1 year")
            assert rotate(m)
            age(m, "1 year")
        return found

    monkeypatch.setattr("cutover.run.check_gates", and_then)
    with pytest.raises(RefusedError, match="forgotten meanwhile"):
        m.exchange("cutover")
    monkeypatch.undo()
    assert m.verify().verdict == "identical"
    assert m.exchange("cutover").outcome == "committed"
