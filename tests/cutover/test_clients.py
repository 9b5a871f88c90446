"""`disconnect_clients`: idle sessions of before end, transactions are let finish, nobody else is touched (H39)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

import cutover.clients
from swap.core.errors import RefusedError
from swap.doctor.examine import Finding
from swap.plan.direction import Direction
from tests.support.cycling import Cycle, Start, doctor
from tests.support.migration import Session, background, install
from tests.support.servers import Connect, Database, Execute
from tests.support.waiting import wait_until

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
"""


@pytest.fixture
def role(admin: Execute, database: Database) -> Iterator[str]:
    """A role of the application's, of the test's own: roles are the whole server's."""
    name = f"client_of_{database.dbname}"
    admin(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def granted(admin: Execute, what: str) -> None:
    admin(sql.SQL("GRANT {} TO swap_owner").format(sql.Identifier(what)))


def alive(session: Session) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_idle_sessions_end_and_transactions_finish(
    start: Start, database: Database, admin: Execute, connect: Connect, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cutover and revert: an idle session ends at once, one in a transaction when it is done; who came after the exchange, somebody
    else and one that stays in its transaction go on. Who is left is named, and the journal has it."""
    conninfo = database.app.replace("app@", f"{role}@")

    def there(cycle: Cycle, *, until_s: float, left: bool) -> None:
        idle, busy, stuck = (connect(conninfo, autocommit=a) for a in (True, False, False))
        named, other = connect(conninfo, application_name="swap sync"), connect(database.app)
        late: list[Session] = []
        for session in (idle, named, other):
            assert alive(session)
        for session in (busy, stuck):
            session.execute("SELECT 1")
        look = connect(database.superuser)
        pid = idle.info.backend_pid

        def finish() -> None:
            gone = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
            wait_until(lambda: look.execute(gone, [pid]).fetchone() is None, 20, "the idle session ends")
            late.append(connect(conninfo))
            busy.execute("SELECT 2")
            busy.commit()

        monkeypatch.setattr(cutover.clients, "TRANSACTIONS_S", until_s)
        if not left:
            stuck.commit()
            stuck.close()
        with background(finish) as finished:
            outcome = cycle.exchange("cutover" if cycle.m.run.direction is Direction.FORWARD else "revert")
            finished.result(20)
        assert outcome.disconnected == 3
        assert [f"({role}, idle in transaction" in who for who in outcome.clients_left] == [True] * left
        assert [alive(s) for s in (idle, busy, stuck, named, other, late[0])] == [False, False, left, False, True, True]
        for session in (stuck, late[0]):
            session.close()

    install(database, SCHEMA)
    granted(admin, role)
    cycle = start("SELECT 1", cutover={"disconnect_clients": [role]})
    cycle.ready()
    there(cycle, until_s=3, left=True)
    cycle.caught_up()
    admin(sql.SQL("REVOKE {} FROM swap_owner").format(sql.Identifier(role)))
    with pytest.raises(RefusedError, match="cannot be disconnected") as refused:
        cycle.exchange("revert")
    assert f"GRANT {role} TO swap_owner" in refused.value.hint
    granted(admin, role)
    there(cycle, until_s=30, left=False)
    said = (
        connect(database.superuser).execute("SELECT message FROM swap.event WHERE kind = 'disconnected' ORDER BY id").fetchall()
    )
    assert [m.split(";")[0] for (m,) in said] == [f"3 sessions of {role}"] * 2


def test_refused_with_the_grant(database: Database, admin: Execute, role: str) -> None:
    """Before anything: by `doctor`, with what to grant; never a superuser's or a replication role's."""
    admin(sql.SQL("CREATE ROLE replicating REPLICATION LOGIN"))

    def found() -> dict[str, Finding]:
        names = [role, "postgres", "replicating", "nobody here"]
        return {f.object: f for f in doctor(database, cutover={"disconnect_clients": names}) if f.name == "disconnect-clients"}

    install(database, SCHEMA)
    try:
        before = found()
        assert {n: f.status for n, f in before.items()} == {
            role: "blocker", "postgres": "blocker", "replicating": "blocker", "nobody here": "blocker",
        }  # fmt: skip
        assert before[role].hint == f"GRANT {role} TO swap_owner; or GRANT pg_signal_backend, pg_read_all_stats TO swap_owner;"
        granted(admin, "pg_signal_backend")
        assert found()[role].status == "blocker", "who is idle is not shown"
        granted(admin, "pg_read_all_stats")
        assert found()[role].status == "ok"
    finally:
        admin(sql.SQL("REVOKE pg_signal_backend, pg_read_all_stats FROM swap_owner"))
        admin(sql.SQL("DROP ROLE replicating"))
    granted(admin, role)
    assert found()[role].status == "ok"
