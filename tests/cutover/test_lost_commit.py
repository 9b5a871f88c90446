"""The connection is cut at the COMMIT of an exchange: the outcome is asked of the server, never guessed (I5, H37)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import cutover.run
import cutover.transaction
from cutover.transaction import resolve
from swap.core.config import load_config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.core.errors import StoppedError, UnknownOutcomeError, UnreachableError
from swap.core.names import TableName
from swap.state.journal import Journal
from swap.state.lock_rows import Holder
from swap.state.locks import OPERATOR
from swap.state.migration import Migration
from swap.sync.follow_up import finish_exchange
from tests.support.cycling import Start
from tests.support.dump import schema_dump
from tests.support.operator import MakeOperator, Operator
from tests.support.proxy import Cut, Proxy
from tests.support.servers import Connect, DatabaseServer

KINDS = ("cutover", "revert")
PHASES = {"cutover": ("syncing", "cut_over"), "revert": ("cut_over", "syncing")}
FOLLOW_UP = 'VALIDATE CONSTRAINT "sessions_user_id_fkey"'  # a check of another name is validated before the attempts


@pytest.fixture
def through(operator: MakeOperator, proxy: Proxy) -> Callable[[str], Operator]:
    """An operator who connects through the proxy, ready for the exchange of that kind."""

    def make(kind: str) -> Operator:
        op = operator(settings="[cutover]\nmax_attempts = 1\n")
        dsn = f"postgresql://swap_owner@127.0.0.1:{proxy.port}/{op.db.dbname}"
        op.db = replace(op.db, owner=dsn)
        op.ready()
        if kind == "revert":
            op("cutover", "--yes", "--no-snapshot")
            op("sync", "--once")
            op("verify")
        proxy.application = f"swap {kind}".encode()
        return op

    return make


def exchange(op: Operator, kind: str) -> tuple[str, ...]:
    return (kind, "--yes", "--no-snapshot") if kind == "cutover" else (kind, "--yes")


def assert_whole(op: Operator, kind: str, *, committed: bool) -> None:
    """The phase is what the server's outcome says; the exchange is there whole or not at all, and can go on."""
    before, after = PHASES[kind]
    assert op.status()["phase"] == (after if committed else before)
    op("sync", "--once")
    assert op("verify", "--method", "exact").json["verdict"] == "identical"
    if not committed:
        assert op(*exchange(op, kind)).json["outcome"] == "committed"
        assert op.status()["phase"] == after


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [False, True], ids=["stays up", "crashes and comes back"])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_before_the_commit_is_sent(
    through: Callable[[str], Operator], proxy: Proxy, server: DatabaseServer, kind: str, restarts: bool
) -> None:
    """Given COMMIT never reached the server, then the command finds out that nothing was committed, and says so."""
    op = through(kind)
    proxy.meanwhile, proxy.cut = crash_and_restart(server, restarts=restarts), "before"
    error = op.refused(*exchange(op, kind), code=4)
    assert "rolled back" in error["message"]
    assert proxy.cuts == 1
    assert_whole(op, kind, committed=False)


@pytest.mark.parametrize("restarts", [False, True], ids=["stays up", "crashes and comes back"])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_before_the_answer_arrives(
    through: Callable[[str], Operator], proxy: Proxy, server: DatabaseServer, kind: str, restarts: bool
) -> None:
    """Given the server committed and its answer was lost, then the command finds out, and finishes what follows."""
    op = through(kind)
    proxy.meanwhile, proxy.cut = crash_and_restart(server, restarts=restarts), "after"
    done = op(*exchange(op, kind)).json
    assert (done["outcome"], done["attempts"] >= 1) == ("committed", True)
    assert proxy.cuts == 1
    assert_whole(op, kind, committed=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cut"), [("cutover", "after"), ("revert", "before")])
def test_the_server_stays_down(
    through: Callable[[str], Operator], proxy: Proxy, server: DatabaseServer, kind: str, cut: Cut
) -> None:
    """Given nobody can be asked, then the outcome is unknown (exit 7), and `status` knows it as soon as the server does."""
    op = through(kind)
    proxy.meanwhile, proxy.cut = server.crash, cut
    document = op(*exchange(op, kind), check=False).json
    assert (document["error"]["code"], document["outcome"], document["attempts"] >= 1) == (7, "unknown", True)
    assert "status" in document["error"]["hint"]
    assert op.refused("status", code=9)
    server.restart()
    assert_whole(op, kind, committed=cut == "after")


# So that there are commits of a fill in place, too.
IN_PLACE = '[identity]\nexisting = "column"\n'
# Of each other command, commits: what its session is for, and what it has sent before.
COMMITS = {
    "prepare": [("", "CREATE TRIGGER")],
    "sync --once": [(" (identity)", "UPDATE"), (" (users)", "INSERT INTO"), ("", "ON CONFLICT"), ("", "complete_xid")],
    "verify": [(" (report)", "INSERT INTO")],
    "cutover --yes --no-snapshot": [("", FOLLOW_UP)],
    "revert --yes": [("", FOLLOW_UP)],
    "abort --yes": [("", "DROP COLUMN"), ("", "DROP TABLE"), ("", "SET phase")],
}
TO_THE_END = {
    "prepare": [],
    "sync --once": [],
    "verify": [],
    "cutover --yes --no-snapshot": [],
    "finalize --yes": [("", "DROP TABLE"), ("", "SET phase")],
}
ENDS = (0, 8)  # done, or there is nothing left to do in the phase it has led to


@pytest.mark.parametrize(
    ("course", "end", "cut"),
    [(COMMITS, "aborted", "before"), (COMMITS, "aborted", "after"), (TO_THE_END, "finalized", "after")],
    ids=["before", "after", "finalize"],
)
def test_any_other_commit_that_is_cut_costs_a_rerun(
    operator: MakeOperator,
    proxy: Proxy,
    connect: Connect,
    server: DatabaseServer,
    course: dict[str, list[tuple[str, str]]],
    end: str,
    cut: Cut,
) -> None:
    """I4, H37: of `prepare`, `sync`, `verify`, `abort`, `finalize`, and of what follows an exchange: the command says that the connection
    was lost, never that something did not happen; the same command again ends as if nothing had been. H46: no trace."""
    op = operator("fresh", users=60, settings=IN_PLACE)
    before = schema_dump(server, op.db.dbname)
    op.db = replace(op.db, owner=f"postgresql://swap_owner@127.0.0.1:{proxy.port}/{op.db.dbname}")
    app = connect(op.db.superuser)
    for command, commits in course.items():
        for number, (purpose, marker) in enumerate(commits):
            app.execute("UPDATE users SET login_count = login_count + 1")
            proxy.application, proxy.marker = f"swap {command.split()[0]}{purpose}".encode(), marker.encode()
            proxy.cuts, proxy.cut = 0, cut
            error = op.refused(*command.split(), code=9)
            assert proxy.cuts == 1, (command, number)
            if marker == FOLLOW_UP:
                assert f"The {command.split()[0]} is committed" in error["state"]
                assert "sync --once" in error["hint"]
        assert op(*command.split(), check=False).code in ENDS
        if op.status()["phase"] != end and "yes" in command:
            op("sync", "--once")
            op("verify")
    assert op.status()["phase"] == end
    if end == "aborted":
        assert schema_dump(server, op.db.dbname) == before


def commit_and_lose(conn: Connection, xid: str) -> None:
    conn.execute("COMMIT")
    conn.close()
    raise UnknownOutcomeError(xid)


def test_no_session_after_a_lost_commit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: what the server has said of the outcome is told, whatever fails after that."""
    cycle = start("CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 3)")
    cycle.ready()
    connect = Conninfo.connect

    def refused(self: Conninfo, purpose: str = "") -> Connection:
        if purpose == "after a lost connection":
            raise UnreachableError("The server takes no more sessions.")
        return connect(self, purpose)

    monkeypatch.setattr(cutover.transaction, "_commit", commit_and_lose)
    monkeypatch.setattr(Conninfo, "connect", refused)
    with pytest.raises(UnreachableError) as raised:
        cycle.exchange("cutover")
    assert raised.value.document["outcome"] == "committed"


def test_the_follow_up_of_a_lost_commit_keeps_others_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """H42: what holds `operator` is a session, and that was lost: the one that goes on has to hold it too."""
    cycle = start("CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 3)")
    cycle.ready()
    settled: list[Holder | None] = []

    def followed(*args: Any, **options: Any) -> None:
        with cycle.m.database.session() as other:
            settled.append(cycle.m.on(other).locks.holder(OPERATOR))
        finish_exchange(*args, **options)

    monkeypatch.setattr(cutover.transaction, "_commit", commit_and_lose)
    monkeypatch.setattr(cutover.run, "finish_exchange", followed)
    assert cycle.exchange("cutover").outcome == "committed"
    (who,) = settled
    assert who is not None
    assert "after a lost connection" in who.application
    cycle.m.conn = cycle.m.journal.conn


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


SMALL = "CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 3)"


def test_a_signal_in_the_commit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: given a signal while COMMIT is on its way, then the outcome is asked of the server as well."""
    cycle = start(SMALL)
    cycle.ready()
    execute = Connection.execute

    def committed_then_interrupted(self: Connection, query: Any, *args: Any, **options: Any) -> Any:
        result = execute(self, query, *args, **options)
        return interrupted() if query == "COMMIT" else result

    monkeypatch.setattr(type(cycle.m.conn), "execute", committed_then_interrupted)
    assert cycle.exchange("cutover").outcome == "committed"
    monkeypatch.undo()
    cycle.m.conn = cycle.m.journal.conn
    assert cycle.m.reload().phase.public == "cut_over"


def test_a_signal_after_the_commit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed is said, and with the outcome."""
    cycle = start(SMALL)
    cycle.ready()
    monkeypatch.setattr(cutover.run, "finish_exchange", interrupted)
    cycle.m.journal.mark_step(cycle.m.run.id, "settled")
    with pytest.raises(StoppedError) as raised:
        cycle.exchange("cutover")
    assert "The cutover is committed" in raised.value.state
    assert raised.value.document["outcome"] == "committed"


def test_an_id_that_a_crash_gave_to_another_transaction_proves_nothing(through: Callable[[str], Operator]) -> None:
    """Given the exchange's records were lost in a crash and its id was handed out again, then its commit is not taken
    for the exchange's; nor is an id that is still to come an answer that never comes."""
    op = through("cutover")
    database = Conninfo.from_options(op.db.owner, "test")
    with database.session() as conn:
        journal = Journal(conn, "swap")
        run = journal.current(TableName("public", "users"))
        assert run is not None
        migration = Migration(database, conn, journal, run, load_config(op.config))
        (others,) = conn.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)
        assert resolve(migration, others) is False
        assert resolve(migration, str(int(others) + 1000)) is False


def crash_and_restart(server: DatabaseServer, *, restarts: bool) -> Callable[[], None]:
    def both() -> None:
        server.crash()
        server.restart()

    return both if restarts else lambda: None
