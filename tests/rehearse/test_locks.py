"""The locks of statements, tried on a server."""

from __future__ import annotations

import threading
from typing import LiteralString

import psycopg
from psycopg import sql

from swap.core.connection import Database as Conninfo
from swap.core.names import TableName
from swap.core.statement import Kind, Statement
from swap.rehearse.lock_trial import try_locks
from swap.rehearse.locks import assess_statements
from tests.support.servers import Database
from tests.support.waiting import wait_until

SCHEMA = """
CREATE TABLE t (id bigint PRIMARY KEY, n bigint); CREATE TABLE other (t_id bigint);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
"""
WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
T, MADE = TableName("public", "t"), TableName("public", "made")


def statement(text: LiteralString, table: TableName | None, lock: str, *, transactional: bool = True) -> Statement:
    return Statement(sql.SQL(text), "why", table, lock, transactional=transactional, kind=Kind.TABLE)


STATEMENTS = [
    statement("CREATE TRIGGER g AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()", T, "SHARE ROW EXCLUSIVE"),
    statement(
        "ALTER TABLE public.other ADD FOREIGN KEY (t_id) REFERENCES public.t", TableName("public", "other"), "SHARE ROW EXCLUSIVE"
    ),
    statement("ALTER TABLE public.t ADD COLUMN m int", T, "SHARE UPDATE EXCLUSIVE"),  # planted: it takes more
    statement("CREATE TABLE public.made (LIKE public.t)", MADE, ""),
    statement("ALTER TABLE public.nothing ADD COLUMN m int", TableName("public", "nothing"), "ACCESS EXCLUSIVE"),
    statement("DROP TRIGGER g ON public.t", T, "ACCESS EXCLUSIVE"),
    statement("DROP TABLE public.other", TableName("public", "other"), "ACCESS EXCLUSIVE"),
    statement("VACUUM public.t", T, "SHARE UPDATE EXCLUSIVE", transactional=False),
]


def test_each_statement_is_tried_and_taken_back(database: Database) -> None:
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute(SCHEMA)
        tried = try_locks(Conninfo.from_options(database.superuser, "rehearse"), "prepare", STATEMENTS)
        assert conn.execute("SELECT to_regclass('made'), count(*) FROM pg_trigger WHERE tgname = 'g'").fetchone() == (None, 0)
    assert [t.seen for t in tried] == [
        "SHARE ROW EXCLUSIVE",
        "SHARE ROW EXCLUSIVE",
        "ACCESS EXCLUSIVE",
        "",
        "",
        "",
        "ACCESS EXCLUSIVE",
        "",
    ]
    assert [(t.statement.text, t.error) for t in tried if t.error] == [
        ("ALTER TABLE public.nothing ADD COLUMN m int", '42P01: relation "public.nothing" does not exist'), ("VACUUM public.t", "it is not tried"),
    ]  # fmt: skip
    rows = assess_statements(tried, {}, {})
    assert [r["verdict"] for r in rows] == [
        "confirmed",
        "confirmed",
        "mismatch",
        "not seen",
        "held already",
        "confirmed",
        "not seen",
    ]


def test_a_lock_that_is_not_free_is_waited_for(database: Database) -> None:
    """Given a session that holds the table, when it lets go, then the trial goes on; a deadlock or a timeout is tried again."""
    with psycopg.connect(database.superuser, autocommit=True) as conn, psycopg.connect(database.superuser) as holder:
        conn.execute(SCHEMA)
        holder.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")

        def let_go() -> None:
            wait_until(lambda: conn.execute(WAITS).fetchone() == (True,), what="the trial waits")
            holder.rollback()

        thread = threading.Thread(target=let_go)
        thread.start()
        (tried,) = try_locks(Conninfo.from_options(database.superuser, "rehearse"), "prepare", STATEMENTS[:1])
        thread.join()
    assert (tried.seen, tried.error) == ("SHARE ROW EXCLUSIVE", None)
