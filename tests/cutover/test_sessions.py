"""Sessions that live across an exchange: what each sees afterwards, and what helps (H36, H39). RUNBOOK.md, "Sessions that
live across the cutover", says the same in words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors, sql

from swap.core.errors import RefusedError
from tests.support.cycling import Start
from tests.support.migration import Session, background
from tests.support.servers import Connect, Database, DatabaseServer, Execute
from tests.support.waiting import wait_for_lock_wait, wait_until

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, user_uuid_id uuid REFERENCES users (uuid_id));
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('changed', NEW.id::text); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tell();
CREATE FUNCTION declared() RETURNS text LANGUAGE plpgsql AS
    $$ DECLARE k bigint; BEGIN SELECT id INTO k FROM users WHERE email = 'user3'; RETURN k; END $$;
CREATE FUNCTION dynamic() RETURNS text LANGUAGE plpgsql AS
    $$ DECLARE r record; BEGIN EXECUTE 'SELECT * FROM us' || 'ers WHERE email = ''user3''' INTO r; RETURN r.id; END $$;
CREATE TABLE tick (n int);
"""
RESULT = "cached plan must not change result type"


@dataclass(frozen=True)
class Prepared:
    """A statement with one parameter, executed under a name since before the cutover. `after`, `reverted`: the error of
    both, or None where it goes on. `helped`: whether the same call is right once it was prepared anew."""

    statement: str
    value: Any
    after: str | None
    reverted: str | None = None
    helped: bool = True


PREPARED = {
    "by the key": Prepared(
        "SELECT email FROM users WHERE id = %s", "3", "operator does not exist: uuid = bigint", helped=False
    ),
    "a new row of a reference": Prepared(
        "INSERT INTO sessions (user_id) VALUES (%s)", 3, 'column "user_id" is of type uuid but expression is of type smallint', helped=False
    ),
    "the key's column": Prepared("SELECT id FROM users WHERE email = %s", "user3", RESULT, RESULT),
    "all columns": Prepared("SELECT * FROM users WHERE email = %s", "user3", RESULT, RESULT),
    "returning the key": Prepared("UPDATE users SET email = email WHERE email = %s RETURNING id", "user3", RESULT, RESULT),
    "the uuid's column": Prepared(
        "SELECT uuid_id FROM users WHERE email = %s", "user3", 'column "uuid_id" does not exist', helped=False
    ),
    "neither": Prepared("SELECT email FROM users WHERE email = %s", "user3", None),
    "over a join": Prepared("SELECT count(*) FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.email = %s", "user3", None),
}  # fmt: skip


def error(session: Session, p: Prepared) -> str | None:
    try:
        session.execute(p.statement.encode(), [p.value], prepare=True)
    except psycopg.Error as e:
        return str(e.diag.message_primary)
    return None


def test_statements_prepared_before(start: Start, database: Database, connect: Connect) -> None:
    """psycopg, in autocommit: each fails for as long as the session lives, or goes on; DISCARD PLANS does not help where the
    result changed, DEALLOCATE ALL and a new session do. Where integers are sent to a uuid nothing does but new code."""
    cycle = start(SCHEMA)
    cycle.ready()
    sessions = {name: connect(database.app) for name in PREPARED}

    def seen() -> dict[str, str | None]:
        return {name: error(sessions[name], p) for name, p in PREPARED.items()}

    assert set(seen().values()) == {None}
    cycle.cutover()
    assert seen() == seen() == {name: p.after for name, p in PREPARED.items()}
    sessions["all columns"].execute("DISCARD PLANS")
    assert error(sessions["all columns"], PREPARED["all columns"]) == RESULT
    for session in sessions.values():
        session.execute("DEALLOCATE ALL")
    assert {name for name, e in seen().items() if e is None} == {n for n, p in PREPARED.items() if p.after is None or p.helped}
    cycle.revert()
    assert seen() == {name: p.reverted for name, p in PREPARED.items()}


def test_transactions_and_sqlalchemy(start: Start, database: Database, connect: Connect) -> None:
    """In a transaction the ROLLBACK after the one error makes psycopg prepare anew; SQLAlchemy's pool rolls back after each
    use, so it prepares nothing for long. Its reflected tables stay as they were read: another matter than the connections."""
    cycle = start(SCHEMA)
    cycle.ready()
    session = connect(database.app, autocommit=False)
    url = sa.make_url(database.app).set(drivername="postgresql+psycopg")
    pooled, autocommit = (sa.create_engine(url, pool_size=1, **more) for more in ({}, {"isolation_level": "AUTOCOMMIT"}))
    users = sa.Table("users", sa.MetaData(), autoload_with=pooled)
    by_email = sa.select(users.c.id).where(users.c.email == "user3")
    by_key = sa.select(users.c.email).where(users.c.id == 3)

    def one(engine: sa.Engine, statement: sa.Select[Any]) -> Any:
        with engine.connect() as conn:
            try:
                return conn.execute(statement).scalar()
            except sa.exc.DBAPIError as e:
                return str(e.orig).splitlines()[0]

    def plain() -> Any:
        try:
            row = session.execute("SELECT id FROM users WHERE email = 'user3'", prepare=True).fetchone()
            session.commit()
        except errors.FeatureNotSupported as e:
            session.rollback()
            return str(e)
        return row and row[0]

    try:
        for _ in range(7):  # more than prepare_threshold
            assert (plain(), one(pooled, by_email), one(autocommit, by_email), one(pooled, by_key)) == (3, 3, 3, "user3")
        cycle.cutover()
        assert plain() == RESULT
        key = plain()
        assert isinstance(key, UUID)
        assert [one(pooled, by_email), one(autocommit, by_email)] == [key, RESULT]
        autocommit.dispose()
        assert one(autocommit, by_email) == key
        pooled.dispose()
        assert one(pooled, by_key) == "operator does not exist: uuid = bigint"
        assert one(pooled, sa.select(users)) == "column users.uuid_id does not exist"
        anew = sa.Table("users", sa.MetaData(), autoload_with=pooled)
        assert one(pooled, sa.select(anew.c.email).where(anew.c.id == key)) == "user3"
    finally:
        pooled.dispose()
        autocommit.dispose()


def test_names_that_go_on(start: Start, database: Database, connect: Connect) -> None:
    """With `[names] compat` what was prepared over the uuids' names of before goes on in the same session, and as reflected by
    SQLAlchemy: over the cutover and the revert, without an error."""
    cycle = start(SCHEMA, names={"compat": True})
    cycle.ready()
    app = connect(database.app)
    row = app.execute("SELECT uuid_id FROM users WHERE email = 'user3'").fetchone()
    assert row is not None
    statements: list[tuple[bytes, list[Any]]] = [
        (b"SELECT uuid_id, email FROM users WHERE uuid_id = %s", [row[0]]),
        (b"SELECT u.email FROM users u JOIN sessions s ON s.user_uuid_id = u.uuid_id WHERE u.uuid_id = %s", [row[0]]),
        (b"INSERT INTO sessions (user_uuid_id) VALUES (%s) RETURNING user_uuid_id", [row[0]]),
        (b"UPDATE users SET email = 'user3' WHERE uuid_id = %s RETURNING uuid_id", [row[0]]),
    ]
    engine = sa.create_engine(sa.make_url(database.app).set(drivername="postgresql+psycopg"))
    users = sa.Table("users", sa.MetaData(), autoload_with=engine)
    by_uuid = sa.select(users.c.email, users.c.uuid_id).where(users.c.uuid_id == row[0])

    def seen() -> list[Any]:
        rows = [app.execute(s, a, prepare=True).fetchone() for s, a in statements]
        with engine.connect() as conn:
            return [*rows, tuple(conn.execute(by_uuid).one())]

    try:
        before = seen()
        cycle.cutover()
        assert seen() == before
        cycle.revert()
        assert seen() == before
    finally:
        engine.dispose()


def test_what_else_a_session_holds(start: Start, database: Database, connect: Connect) -> None:
    """plpgsql, LISTEN, cursors WITH HOLD, temporary tables; a temporary view over the table closes the gate."""
    cycle = start(SCHEMA)
    cycle.ready()
    app, writer = connect(database.app), connect(database.app)

    def call(function: str) -> str:
        try:
            row = app.execute(sql.SQL("SELECT {}()").format(sql.Identifier(function))).fetchone()
        except psycopg.Error as e:
            return str(e.diag.message_primary)
        return str(row and row[0])

    def told() -> str:
        writer.execute("UPDATE users SET email = email WHERE email = 'user3'")
        return next(app.notifies(timeout=30, stop_after=1)).payload

    app.execute("LISTEN changed")
    app.execute("CREATE TEMP TABLE mine AS SELECT id FROM users WHERE email = 'user3'")
    app.execute("BEGIN; DECLARE kept CURSOR WITH HOLD FOR SELECT id FROM users WHERE email = 'user3'; COMMIT")
    assert [call("declared"), call("dynamic"), told()] == ["3"] * 3
    app.execute("CREATE TEMP VIEW over AS SELECT id FROM users")
    with pytest.raises(RefusedError, match=r"pg_temp_\d+\.over"):
        cycle.exchange("cutover")
    app.execute("DROP VIEW over")
    cycle.cutover()
    row = writer.execute("SELECT id::text FROM users WHERE email = 'user3'").fetchone()
    assert row is not None
    assert [call("dynamic"), told()] == [row[0]] * 2
    assert call("declared") == f'invalid input syntax for type bigint: "{row[0]}"'
    assert app.execute("FETCH ALL FROM kept").fetchall() == [(3,)]
    with pytest.raises((errors.UndefinedFunction, errors.DatatypeMismatch), match=r"bigint (=|and) uuid"):  # by the version
        app.execute("SELECT FROM mine JOIN users USING (id)")
    joined = app.execute("SELECT u.email FROM mine JOIN users u ON u.legacy_id = mine.id").fetchall()
    assert joined == [("user3",)]
    cycle.revert()
    assert [call("declared"), call("dynamic"), told()] == ["3"] * 3


def test_repeatable_readers(start: Start, database: Database, connect: Connect, admin: Execute) -> None:
    """H36, H70: with fast reads, a snapshot of before and a first look after, and a statement that waits during the exchange: all rows
    are there, as replay had left them at that snapshot; a write is told to retry. READ COMMITTED sees the newest."""
    cycle = start(SCHEMA, cutover={"reads": "fast", "lock_timeout_ms": 30_000, "max_lock_hold_ms": 30_000})
    cycle.ready()
    admin(sql.SQL("GRANT pg_monitor TO swap_owner"))
    try:
        other = connect(database.superuser)
        other.execute("UPDATE users SET email = 'moved' WHERE email = 'user1'")  # queued, and not replayed
        before, during, committed = (connect(database.app, autocommit=False) for _ in range(3))
        for session in (before, during):
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before.execute("SELECT 1")
        other.execute("UPDATE users SET email = 'later' WHERE email = 'user2'")
        holder = connect(database.superuser, autocommit=False)
        holder.execute("LOCK TABLE sessions IN ROW SHARE MODE")  # the exchange has users by then, and waits for this
        look = "SELECT count(*), count(*) FILTER (WHERE email = 'moved'), min(pg_typeof(id)::text) FROM users"
        with background(lambda: cycle.exchange("cutover"), holder.rollback) as exchange:
            wait_for_lock_wait(other, cycle.m.pid)
            with (
                background(lambda: during.execute(look).fetchone()) as waiting,
                background(lambda: committed.execute(look).fetchone()) as newest,
            ):
                for session in (during, committed):
                    wait_for_lock_wait(other, session.info.backend_pid)
                holder.rollback()
                assert exchange.result(30).outcome == "committed"
                assert newest.result(30) == (9, 1, "uuid")
                seen = waiting.result(30)
        assert seen is not None
        assert (seen[0], seen[2]) == (9, "uuid")
        assert before.execute(look).fetchone() == (9, 0, "uuid"), "the rows as replay had left them"
        assert before.execute("SELECT count(*) FROM users WHERE email = 'later'").fetchone() == (0,)
        for session in (before, during):
            with pytest.raises(errors.SerializationFailure, match="exchange of the table"):
                session.execute("UPDATE users SET email = email WHERE email = 'user4'")
    finally:
        admin(sql.SQL("REVOKE pg_monitor FROM swap_owner"))


@contextmanager
def pgbench(server: DatabaseServer, database: Database, path: Path, lines: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Two clients that prepare every statement, until an error ends them; killed at the end of the block."""
    path.write_text("\n".join(["\\set n random(1, 9)", *lines]), encoding="utf-8")
    running = subprocess.Popen(
        [server.bindir / "pgbench", "-n", "-M", "prepared", "-c", "2", "-T", "600", "-R", "50", "-f", path,
         f"{database.app}?application_name={path.stem}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def test_pgbench(start: Start, server: DatabaseServer, database: Database, connect: Connect, tmp_path: Path) -> None:
    """`pgbench -M prepared` runs across the cutover: what names the key ends at once with one of two errors, what does not
    goes on and meets none."""
    if not (server.bindir / "pgbench").exists():
        pytest.skip(f"no pgbench in {server.bindir}")
    cycle = start(SCHEMA)
    cycle.ready()
    look = connect(database.superuser)
    by_email = "SELECT email FROM users WHERE email = 'user' || :n;"
    scripts = {
        "by_key": ["SELECT email FROM users WHERE id = :n;"],
        "star": ["SELECT * FROM users WHERE email = 'user' || :n;"],
        "neither": [by_email, "SELECT count(*) FROM tick;"],
    }

    def busy(name: str) -> Any:
        at = "SELECT max(query_start) FROM pg_stat_activity WHERE application_name = %s AND query ~ 'FROM (users|tick)'"
        return look.execute(at, [name]).fetchone()[0]  # type: ignore[index]

    with (
        pgbench(server, database, tmp_path / "by_key", scripts["by_key"]) as by_key,
        pgbench(server, database, tmp_path / "star", scripts["star"]) as star,
        pgbench(server, database, tmp_path / "neither", scripts["neither"]) as neither,
    ):
        for name in scripts:
            wait_until(lambda n=name: busy(n), 30, f"{name} runs")  # type: ignore[misc]
        cycle.exchange("cutover")
        for running, said in ((by_key, "operator does not exist: uuid = bigint"), (star, RESULT)):
            _, told = running.communicate(timeout=60)
            assert told.count(f"ERROR:  {said}") == 2, told
        then = busy("neither")
        wait_until(lambda: busy("neither") > then, 30, "it goes on")
        look.execute("DROP TABLE tick")
        _, told = neither.communicate(timeout=60)
        assert told.count("ERROR:") == told.count('relation "tick" does not exist') == 2, told
