"""The question of a command that acts: a yes acts, and everything else ends with exit code 6, the three lines and nothing changed."""

from __future__ import annotations

import re
import signal

import pytest

from tests.support.dump import schema_dump
from tests.support.judging import judge_lines
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, DatabaseServer
from tests.support.terminal import OnTerminal

NO = {
    b"n\n": "the answer was no", b"No\n": "the answer was no", b"\n": "not yes", b"maybe\n": "'maybe' is neither",
    b"yn\n": "neither", b"yes please\n": "neither", b"\xff\xfe\n": "neither", b"\x1b[A\n": "neither", b"1\n": "neither",
    b"\x04": "not yes", b"y\x04\x15\x04": "not yes", b"x" * 200 + b"\n": "neither",
}  # fmt: skip


@pytest.mark.slow
def test_every_answer_but_a_yes_is_a_no(ready_operator: MakeOperator, on_terminal: OnTerminal, server: DatabaseServer) -> None:
    op = ready_operator()
    before = schema_dump(server, op.db.dbname)
    for keys, said in NO.items():
        terminal = on_terminal("abort", config=op.config, dsn=op.db.owner)
        terminal.until(lambda s: "[y/N]" in s)
        terminal.type(keys)
        assert terminal.end() == 6, terminal.shown
        assert said in judge_lines(terminal.shown), keys
        assert "Traceback" not in terminal.shown
    assert schema_dump(server, op.db.dbname) == before
    assert op.status()["phase"] == "syncing"


@pytest.mark.parametrize("command", [("abort",), ("cutover", "--no-snapshot")])
def test_a_signal_is_a_no(ready_operator: MakeOperator, on_terminal: OnTerminal, command: tuple[str, ...]) -> None:
    """Whichever, and at once: `cutover` would else wait for the end of the batch in hand."""
    op = ready_operator()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        terminal = on_terminal(*command, config=op.config, dsn=op.db.owner)
        terminal.until(lambda s: "[y/N]" in s)
        terminal.interrupt(number)
        assert terminal.end() == 6, terminal.shown
        assert "signal" in judge_lines(terminal.shown)
    assert op.status()["phase"] == "syncing"


def test_a_yes_acts(ready_operator: MakeOperator, on_terminal: OnTerminal) -> None:
    op = ready_operator()
    terminal = on_terminal("abort", config=op.config, dsn=op.db.owner)
    terminal.until(lambda s: "[y/N]" in s)
    terminal.answer(" YES ")
    assert terminal.end() == 0, terminal.shown
    assert op.status()["phase"] == "aborted"
    again = op("abort", "--yes").json
    assert [s["table"] for s in again["statistics"]] == re.findall(r"(\S+): \d+ rows? changed since", terminal.shown)
    left = again["left"]
    assert left
    assert all(f"{x['column']}: {x['rows']} row" in terminal.shown for x in left)


def test_without_a_terminal_nothing_is_asked(ready_operator: MakeOperator) -> None:
    op = ready_operator()
    for command in ("abort", "cutover --no-snapshot"):
        for answer in ("y\n", "", "n\n"):
            result = op.cli(*command.split(), config=op.config, dsn=op.db.owner, stdin=answer, check=False)
            assert result.code == 2
            assert "[y/N]" not in result.stderr
            judge_lines(result.stderr)
    assert op.status()["phase"] == "syncing"


def test_what_is_asked(ready_operator: MakeOperator, on_terminal: OnTerminal, connect: Connect) -> None:
    """Where, which tables, what goes, on what trust, who is in the way; and the gates come before the question."""
    op = ready_operator()
    holder = connect(op.db.app, autocommit=False)
    holder.execute("SELECT FROM users")

    def asked(*args: str, answer: str) -> str:
        terminal = on_terminal(*args, config=op.config, dsn=op.db.owner)
        terminal.until(lambda s: "?" in s and s.rstrip(" ").endswith(":"))
        question = " ".join(terminal.shown.split())
        terminal.answer(answer)
        assert terminal.end() == (0 if answer == "y" else 6), terminal.shown
        return question

    said = asked("cutover", "--no-snapshot", answer="n")
    for part in (f"database {op.db.dbname}, as swap_owner", "tables public.users", "goes nothing", "verified identical", "to replay first",
                 "hook none (--no-snapshot)", "rehearsed no report was named", f"in the way pid {holder.info.backend_pid} app"):  # fmt: skip
        assert part in said, part
    holder.rollback()
    said = asked("abort", answer="n")
    assert "goes: public.users_new" in said
    assert "in the way nobody" in said
    assert asked("cutover", "--no-snapshot", answer="y")
    terminal = on_terminal("revert", config=op.config, dsn=op.db.owner)
    assert terminal.end() == 3, "no verification of this direction: not worth a question"
    assert "?" not in terminal.shown.split("error:")[0]
    said = asked("finalize", answer="n")
    assert "goes for good: table public.users_old" in said
    assert "in the way nobody" in said
