"""Statements as data, the judgement of a driver's error, and the text of .sql files."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from swap.core.connection import judged
from swap.core.names import TableName
from swap.core.statement import BLOCKS, Kind, Statement, Verb, script, undo_all


def statement(n: int) -> Statement:
    return Statement(
        sql.SQL("CREATE TABLE {}").format(sql.Identifier(f"t{n}")), f"step {n}", TableName("public", f"t{n}"), "ACCESS EXCLUSIVE",
        sql.SQL("DROP TABLE {}").format(sql.Identifier(f"t{n}")), kind=Kind.TABLE, verb=Verb.CREATE,
    )  # fmt: skip


def test_undo_goes_back_in_reverse_order_and_twice_is_where_it_was() -> None:
    steps = [statement(n) for n in range(4)]
    back = undo_all(steps)
    assert [s.text for s in back] == [f'DROP TABLE "t{n}"' for n in (3, 2, 1, 0)]
    again = undo_all(back)
    assert [(s.text, s.table, s.lock, s.transactional) for s in again] == [
        (s.text, s.table, s.lock, s.transactional) for s in steps
    ]


def test_what_has_no_way_back_says_so() -> None:
    with pytest.raises(ValueError, match="no way back for: SELECT 1"):
        undo_all([Statement(sql.SQL("SELECT 1"), "reads", kind=Kind.LOCK)])


def test_every_lock_says_what_it_blocks() -> None:
    assert statement(1).blocks == "everything, SELECT too"
    assert all(BLOCKS.values())
    assert script([statement(1), statement(2)]).as_string(None) == 'CREATE TABLE "t1";\nCREATE TABLE "t2"'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.UndefinedFunction, True),
        (psycopg.errors.UniqueViolation, True),
        (psycopg.errors.AdminShutdown, False),
        (psycopg.errors.CrashShutdown, False),
        (psycopg.errors.QueryCanceled, False),
        (psycopg.errors.LockNotAvailable, False),
        (psycopg.errors.DeadlockDetected, False),
        (psycopg.errors.DiskFull, False),
        (psycopg.OperationalError, False),
    ],
)
def test_a_lost_session_says_nothing_about_a_statement(error: type[psycopg.Error], expected: bool) -> None:
    """H37: when the server goes away while `prepare` tries an index over uuids, it does not report the index as unusable."""
    assert judged(error()) is expected


def test_sql_is_ascii() -> None:
    """H18: the server refuses a character that its database's encoding does not have, in a comment too."""
    for path in Path(__file__).parents[2].glob("*/**/*.sql"):
        if path.parts[-2] != "fixtures" and "tests" not in path.parts and "demo" not in path.parts:
            assert path.read_text(encoding="utf-8").isascii(), path
