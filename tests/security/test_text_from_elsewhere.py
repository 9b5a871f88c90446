"""Text that another session, a role, a table or a program chose reaches a terminal, a log and the journal as text, and not as control
sequences; the text of a query, which holds values of rows, reaches them only where an operator asks for it."""

from __future__ import annotations

import ast
import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

import swap.doctor.server
from swap.cli.output import emit_json
from swap.core.blockers import Blocker
from swap.core.printable import json_safe, one_line, printable, printable_document
from swap.doctor.examine import examine
from tests.support.migration import configuration
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database

ROOT = Path(__file__).parents[2]
TITLE, CLEAR, OVERRIDE = "\x1b]0;owned\x07", "\x9b2J\x1b[2J", "\u202e"
ROW = "value-of-a-row-77"
QUERY = f"SELECT count(*) FROM users WHERE email <> '{TITLE}{CLEAR}{OVERRIDE}{ROW}'"
QUICK = "[cutover]\nmax_attempts = 2\nlock_timeout_ms = 50\n"


def harmless(*texts: str) -> None:
    for text in texts:
        assert {c for c in text if unicodedata.category(c) == "Cc"} <= {"\n", "\t"}, text
        assert OVERRIDE not in text


@contextmanager
def reader(conninfo: str) -> Iterator[int]:
    """A session in a transaction whose last query holds a value of a row, and control sequences."""
    with psycopg.connect(conninfo) as conn:
        conn.execute(QUERY.encode())
        yield conn.info.backend_pid
        conn.rollback()


@pytest.mark.parametrize("as_json", [False, True], ids=["lines", "json"])
def test_a_query_in_the_way_of_a_cutover(ready_operator: MakeOperator, connect: Connect, as_json: bool) -> None:
    """Without --show-queries nothing of it; with it, its text without control characters; in the journal nothing either way."""
    op = ready_operator(settings=QUICK)
    command = ("cutover", "--yes", "--no-snapshot", *(["--json"] if as_json else []))
    with reader(op.db.superuser) as pid:
        connect(op.db.superuser).execute("GRANT pg_monitor TO swap_owner")
        try:
            for asked in (False, True):
                flags = ("--show-queries",) if asked else ()
                ended = op.cli(*command, *flags, config=op.config, dsn=op.db.owner, check=False)
                assert ended.code == 4, ended
                harmless(ended.stdout, ended.stderr)
                told = str(ended.json) if as_json else ended.stderr
                assert f"pid {pid} " in told
                assert (ROW in told) is asked
                assert ("\\x1b]0;owned\\x07" in told.replace("\\\\", "\\")) is asked
        finally:
            connect(op.db.superuser).execute("REVOKE pg_monitor FROM swap_owner")
    status = op.cli("status", config=op.config, dsn=op.db.owner).stdout
    assert f"pid {pid} " in status
    assert ROW not in status
    assert ROW not in everything_in_the_journal(op.db)


def everything_in_the_journal(db: Database) -> str:
    with psycopg.connect(db.superuser) as conn:
        names = conn.execute("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'swap'::regnamespace AND relkind = 'r'")
        found = []
        for (name,) in names.fetchall():
            found += conn.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier("swap", name))).fetchall()
    return "\n".join(row[0] for row in found)


def test_a_session_in_words_has_no_query() -> None:
    """The words go to the journal too: what was cancelled, what was terminated."""
    who = Blocker(7, f"role{TITLE}\nfake line", "app", "active", QUERY, 1.0, "client backend", privileged=False, own=False)
    assert str(who) == "pid 7 role\\x1b]0;owned\\x07\\nfake line (app), active for 1.0 s"


def test_doctor_and_a_long_transaction(database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(database.superuser).execute("CREATE TABLE users (id bigserial PRIMARY KEY, email text)")
    monkeypatch.setattr(swap.doctor.server, "LONG_TRANSACTION_S", 0)
    with reader(database.superuser) as pid:
        own = connect(database.superuser)
        for asked in (False, True):
            details = [f.detail for f in examine(own, configuration(), show_queries=asked) if f.object == f"pid {pid}"]
            assert [ROW in d for d in details] == [asked]


def test_names_that_hold_control_sequences(ready_operator: MakeOperator, connect: Connect) -> None:
    """A prepared transaction's name, and that of the role that prepared it, in the lines and the JSON of `doctor`."""
    op = ready_operator()
    role, gid = f"r{TITLE}{OVERRIDE}\nok       fake", f"g{CLEAR}{OVERRIDE}"
    admin = connect(op.db.superuser)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        admin.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(role)))
        admin.execute("BEGIN")
        admin.execute("SELECT pg_current_xact_id()")
        admin.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        for flags in ((), ("--json",)):
            told = op.cli("doctor", *flags, config=op.config, dsn=op.db.owner, check=False)
            harmless(told.stdout, told.stderr)
            assert "\\x9b2J" in told.stdout
            assert not any(line.startswith("ok       fake") for line in told.stdout.splitlines())
    finally:
        admin.execute("RESET SESSION AUTHORIZATION")
        admin.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_what_a_hook_prints(ready_operator: MakeOperator) -> None:
    """On the terminal, in JSON and in the journal, its arguments too."""
    argv = ["sh", "-c", f"printf '{TITLE}%s\\n' made", f"{CLEAR}{OVERRIDE}"]
    op = ready_operator(settings=f"[hooks]\npre_swap_snapshot = {json.dumps(argv)}\n")
    done = op.cli("cutover", "--yes", config=op.config, dsn=op.db.owner)
    assert "snapshot: \\x1b]0;owned\\x07made" in done.stdout
    journal = everything_in_the_journal(op.db)
    harmless(done.stdout, done.stderr, journal)
    assert "owned" in journal


def test_sql_stays_to_the_character(capsys: pytest.CaptureFixture[str]) -> None:
    """A script runs it. A name stays too; the document's text is safe on a terminal all the same."""
    document = {"statements": [{"sql": f"SELECT '{TITLE}{OVERRIDE}'", "why": TITLE}], "tables": [{"name": CLEAR}]}
    emit_json(document)
    shown = capsys.readouterr().out
    harmless(shown)
    read: dict[str, Any] = json.loads(shown)
    assert read["statements"][0] == {"sql": f"SELECT '{TITLE}{OVERRIDE}'", "why": printable(TITLE)}
    assert read["tables"][0]["name"] == CLEAR


@given(st.text())
def test_every_text_is_made_harmless(text: str) -> None:
    shown = printable(text)
    harmless(shown)
    shown.encode()
    assert printable(shown) == shown
    assert not {"\n", "\t"} & set(one_line(text))
    whole = json.dumps({"name": text}, ensure_ascii=False)
    harmless(json_safe(whole))
    assert json.loads(json_safe(whole)) == {"name": text}
    assert printable_document({"a": [text], "sql": text}) == {"a": [shown], "sql": text}


def test_nothing_else_writes_to_a_terminal() -> None:
    """The edges are few: a `print`, or a write to a standard stream, that is added elsewhere fails here."""
    edges = {
        "swap/cli/output.py", "swap/cli/progress.py", "swap/cli/__init__.py", "swap/cli/log.py",
        "swap/demo/cycle.py", "swap/demo/service.py",  # their own words, documents of commands, and errors as Python's literals
        "cutover/pause_watchdog.py",  # to its parent, through a pipe
        "swap/core/process.py", "swap/cli/results.py", "swap/cli/hook.py", "swap/cli/plan.py",
        "swap/cli/status_lines.py", "swap/cli/status_all.py", "swap/cli/terminal.py", "swap/cli/question.py",  # which streams there are, not what goes to them
        "swap/cli/session.py",  # the question, which is printable
    }  # fmt: skip
    found = set()
    for package in ("swap", "verify", "cutover"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                stream = (
                    isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and isinstance(node.value, ast.Name)
                )
                printed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
                if printed or (stream and isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sys"):
                    found.add(str(path.relative_to(ROOT)))
    assert found <= edges
