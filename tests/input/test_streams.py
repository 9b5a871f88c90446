"""Closed, full and ASCII-only streams, and readers that go away: no traceback, the exit code is that of the work, and what was
committed is said where it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from tests.support.commands import ROOT, CliResult
from tests.support.judging import FORBIDDEN, judge_lines
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Database

TIMEOUT_S = 60.0
# `{}` is the command. In `gone` the reader has ended before the command begins.
SHELL = {
    "stdout closed": "{} 1>&-",
    "stderr closed": "{} 2>&-",
    "both closed": "{} 1>&- 2>&-",
    "all closed": "{} 0<&- 1>&- 2>&-",
    "stdout full": "{} >/dev/full",
    "stderr full": "{} 2>/dev/full",
    "both full": "{} >/dev/full 2>&1",
    "no reader of stdout": "trap '' PIPE; {{ sleep_until_closed; {}; echo $? >&9; }} | true",
    "no reader of stderr": "trap '' PIPE; {{ sleep_until_closed; {} 2>&1 >&8; echo $? >&9; }} | true",
}
MARK = "exit code "
# A pipe's reader is gone when writing to it fails.
UNTIL_CLOSED = "sleep_until_closed() { while echo 2>/dev/null; do :; done; }"


def through(redirection: str, args: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> CliResult:
    """The command with its streams redirected by a shell. stdout and stderr are what could still be written."""
    words = " ".join(f"'{w}'" for w in (sys.executable, "-m", "swap", *args))
    if "true" in redirection:
        script = f"{UNTIL_CLOSED}; exec 8>&1 9>code; {redirection.format(words)}"
    else:
        script = f"{redirection.format(words)}; echo $? >code"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_", "LC_", "LANG", "PYTHON"))}
    done = subprocess.run(
        ["bash", "-c", script], cwd=cwd, env={**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **env},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    code = int((cwd / "code").read_text())
    result = CliResult(args, code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    for forbidden in FORBIDDEN:
        assert forbidden not in (result.stdout + result.stderr).replace("Traceback when", ""), result
    return result


def environment(op: Operator) -> dict[str, str]:
    return {"SWAP_DSN": op.db.owner, "SWAP_CONFIG": str(op.config)}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("how", SHELL)
def test_work_is_done_and_said_where_it_can_be(operator: MakeOperator, tmp_path: Path, how: str) -> None:
    op = operator()
    result = through(SHELL[how], ("prepare",), environment(op), tmp_path)
    assert result.code == 0, result
    assert op.status()["phase"] == "prepared"
    if "both" not in how and "all" not in how:
        assert "prepared: capture is live on public.users" in result.stdout + result.stderr
    result = through(SHELL[how], ("abort", "--yes", "--json"), environment(op), tmp_path)
    assert result.code == 0, result
    assert op.status()["phase"] == "aborted"
    if "both" not in how and "all" not in how:
        assert '"aborted"' in result.stdout + result.stderr


@pytest.mark.parametrize("how", SHELL)
def test_errors_keep_their_exit_code(tmp_path: Path, how: str) -> None:
    for args, code in (
        (("status",), 2),
        (("status", "--json"), 2),
        (("nonsense",), 2),
        (("help",), 0),
        ((), 0),
        (("sync", "-h"), 0),
    ):
        result = through(SHELL[how], args, {}, tmp_path)
        assert result.code == code, result
        text = result.stdout + result.stderr
        if "--json" not in args and code and "both" not in how and "all" not in how:
            judge_lines(text)


def test_a_reader_that_wants_one_line(operator: MakeOperator, tmp_path: Path) -> None:
    """`swap plan --sql | head -1`: nothing is wrong, and nothing is said."""
    op = operator()
    result = through("set -o pipefail; {} | head -1", ("plan", "--sql"), environment(op), tmp_path)
    assert result.code == 0, result
    assert result.stdout.startswith("plan for public.users")
    assert result.stderr == ""


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    result = through("{} >/dev/full", ("help",), {}, tmp_path)
    assert "stdout took no more (No space left on device)" in result.stderr
    assert "Usage: swap" in result.stderr


ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX"},
]
ASCII += [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "utf-8"}, {"PYTHONIOENCODING": "cp1252:strict"}]


@pytest.mark.slow
@pytest.mark.parametrize("env", ASCII, ids=range(len(ASCII)))
def test_names_that_the_encoding_lacks(database: Database, tmp_path: Path, env: dict[str, str]) -> None:
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute('CREATE TABLE "naïve 表" (id bigserial PRIMARY KEY, name text)')
    config = tmp_path / "swap.toml"
    config.write_text("[source]\ntable = 'public.\"naïve 表\"'\n", encoding="utf-8")
    every = (("doctor",), ("plan", "--sql"), ("prepare", "--dry-run"), ("prepare",), ("status",))
    commands = every if env is ASCII[0] else (("plan", "--sql"),)  # one writer of text and JSON serves them all
    env = {"SWAP_DSN": database.superuser, "SWAP_CONFIG": str(config), **env}
    for args in commands:
        assert through("{}", args, env, tmp_path).code == 0, args
        result = through("{}", (*args, "--json"), env, tmp_path)
        assert result.code == 0, args
        document = json.loads(result.stdout)
    assert "naïve 表" in json.dumps(document, ensure_ascii=False)
    config.write_text("[source]\ntable = 'public.\"absent 表\"'\n", encoding="utf-8")
    result = through("{}", ("doctor",), env, tmp_path)
    assert result.code == 2
    assert "absent" in judge_lines(result.stderr)


def test_arguments_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 come in as lone surrogates, which no encoding writes."""
    for args in ((b"init", b"t\xff"), (b"\xff\xfe",), (b"status", b"--config", b"\xff.toml"), (b"init", b"--out", b"\xff", b"t")):
        for extra in ((), (b"--json",)):
            done = subprocess.run(
                [os.fsencode(sys.executable), b"-m", b"swap", *args, *extra], cwd=tmp_path, capture_output=True, timeout=TIMEOUT_S,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SWAP_DSN": "host=127.0.0.1 port=1"}, check=False,
            )  # fmt: skip
            assert done.returncode in (2, 9), done
            assert b"Traceback" not in done.stderr
            if extra:
                assert json.loads(done.stdout)["error"]["code"] == done.returncode
            else:
                judge_lines(done.stderr.decode())
