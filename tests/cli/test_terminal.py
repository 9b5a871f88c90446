"""What a terminal shows, and what does not go there: the question before an exchange, --json beside progress bars, --watch."""

from __future__ import annotations

import json
import re
import signal
import threading
from pathlib import Path

import psycopg
import pytest

from swap.cli.output import print_lines
from swap.cli.session import signals
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Database
from tests.support.terminal import OnTerminal
from tests.support.waiting import wait_until

CONTROL = "\x1b"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    return path


def test_a_json_document_goes_to_the_pipe_and_not_to_the_terminal(
    on_terminal: OnTerminal, database: Database, config: Path
) -> None:
    """`swap status --json | jq` at a terminal: what shows progress there takes nothing of stdout along."""
    terminal = on_terminal("status", "--json", config=config, dsn=database.superuser, piped=True)
    assert terminal.process.stdout is not None
    assert json.loads(terminal.process.stdout.read())["phase"] == "none"
    assert (terminal.end(), terminal.shown) == (0, "")


def test_the_question_stays_on_the_screen_and_either_answer_counts(ready_operator: MakeOperator, on_terminal: OnTerminal) -> None:
    """Progress is drawn over the line it stands in, ten times a second; a question stood there. Ctrl-C is a no, at once."""
    op = ready_operator()
    for by_signal in (False, True):
        terminal = on_terminal("cutover", "--no-snapshot", config=op.config, dsn=op.db.owner)
        shown = terminal.until(lambda s: "[y/N]" in s)
        assert "Exchange public.users with public.users_new now?" in shown
        assert CONTROL not in shown
        if by_signal:
            terminal.interrupt()
        else:
            terminal.answer("n")
        assert terminal.end() == 6, terminal.shown
        assert "Nothing was changed." in terminal.shown
    assert op.status()["phase"] == "syncing"
    terminal = on_terminal("cutover", "--no-snapshot", config=op.config, dsn=op.db.owner)
    terminal.until(lambda s: "[y/N]" in s)
    terminal.answer("y")
    assert terminal.end() == 0, terminal.shown
    assert "cutover committed in attempt" in terminal.shown


def test_sql_is_printed_to_the_character(capsys: pytest.CaptureFixture[str]) -> None:
    """What a dry run shows is what runs: nothing in it is an emoji, a colour or a tab to widen."""
    line = "ALTER TABLE t ALTER c SET DEFAULT ':key: [bold]a[/]\tb';"
    print_lines([line])
    assert capsys.readouterr().out == f"{line}\n"


def test_bars_end_at_a_hundred_percent(operator: MakeOperator, on_terminal: OnTerminal) -> None:
    op = operator(settings='[names]\nretired = "{table}_old"')
    op("prepare")
    terminal = on_terminal("sync", "--once", config=op.config, dsn=op.db.owner)
    assert terminal.end() == 0, terminal.shown
    assert re.search(r"users:? .*300 rows \(100 %\)", terminal.shown)
    assert max(int(p) for p in re.findall(r"\((\d+) %\)", terminal.shown)) == 100
    assert "0 changes replayed" in terminal.shown  # nobody else wrote: what swap itself fills is no change of the application
    terminal = on_terminal("verify", config=op.config, dsn=op.db.owner)
    assert terminal.end() == 0, terminal.shown
    assert re.search(r"verify public\.users:? .*300 rows \(100 %\)", terminal.shown)
    assert "public.partner_applications" in terminal.shown
    assert "…" not in terminal.shown  # no name is cut
    with psycopg.connect(op.db.owner) as conn:
        pending = conn.execute("UPDATE users SET login_count = login_count + 1 WHERE id < 60").rowcount
    terminal = on_terminal("verify", config=op.config, dsn=op.db.owner)
    assert terminal.end() == 0, terminal.shown
    last = re.findall(r"verify public\.users:? .*rows.*", terminal.shown)[-1]
    assert f"{300 - pending} rows, {pending} more pending (100 %)" in last, terminal.shown


def test_a_name_that_looks_like_markup_is_shown_as_it_is(on_terminal: OnTerminal, database: Database, config: Path) -> None:
    """`status --watch` is drawn again and again, and ends with the run's name for it untouched."""
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute('CREATE TABLE users (id bigint PRIMARY KEY); CREATE TABLE "users[/b]_new" (id bigint)')
    config.write_text('[source]\ntable = "public.users"\n[names]\nshadow = "{table}[/b]_new"\n', encoding="utf-8")
    terminal = on_terminal("status", "--watch", config=config, dsn=database.superuser)
    terminal.until(lambda s: "users[/b]_new" in s)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0, terminal.shown


def test_a_watch_without_a_terminal_prints_blocks(cli: Cli, database: Database, config: Path) -> None:
    """Lines as they come, not one picture at the end, and no control codes."""
    running = cli.start("status", "--watch", config=config, dsn=database.superuser)
    running.wait_line("phase      none")
    result = running.interrupt()
    assert result.code == 0
    assert CONTROL not in result.stdout


def test_a_signal_in_the_middle_of_a_wait() -> None:
    """The event's lock is the main thread's then, which runs the handler; a second signal interrupts."""

    class Stop(threading.Event):
        by: threading.Thread | None = None

        def set(self) -> None:
            self.by = threading.current_thread()
            super().set()

    stop = Stop()
    with signals(stop, graceful=True):
        signal.raise_signal(signal.SIGTERM)
        wait_until(stop.is_set, what="the stop")
        assert stop.by is not threading.main_thread()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
