"""SIGINT, SIGTERM and SIGHUP: while Python starts, while a command works, and again while it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from swap.cli.session import GRACE_S, signals
from tests.support.commands import ROOT
from tests.support.judging import judge, judge_lines
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Connect
from tests.support.waiting import wait_until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TIMEOUT_S = 60.0
# Stands in for the library that the command line imports first, and holds it there.
HOLDING = """
import pathlib, signal
pathlib.Path("loading").touch()
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def hearing() -> Iterator[None]:
    """A suite that nohup started ignores SIGHUP, and so would every command that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Commands that are held in their imports, killed after the test."""
    (tmp_path / "typer.py").write_text(HOLDING, encoding="ascii")
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start_loading(directory: Path, *args: str) -> subprocess.Popen[str]:
    (directory / "loading").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "swap", *args], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{directory}:{ROOT}"},
    )  # fmt: skip
    wait_until((directory / "loading").exists, what="the command is loading")
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_python_starts(loading: list[subprocess.Popen[str]], tmp_path: Path, number: signal.Signals) -> None:
    """An exception there is lost, or comes out as a traceback of the import system."""
    for args in (("cutover", "--yes"), ("status", "--json")):
        process = start_loading(tmp_path, *args)
        loading.append(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 6, err
        assert "Traceback" not in err
        if "--json" in args:
            error = json.loads(out)["error"]
            assert error["code"] == 6
            assert error["state"] == "Nothing was changed."
        else:
            judge_lines(err)


def test_nohup_is_respected(loading: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    """A SIGHUP that is ignored stays ignored: by the start and by the command."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start_loading(tmp_path, "status")
        loading.append(process)
        with signals(threading.Event(), graceful=False):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        ignored = int(status_of(process.pid, "SigIgn"), 16)
        assert ignored >> (signal.SIGHUP - 1) & 1
    finally:
        signal.signal(signal.SIGHUP, before)


def status_of(pid: int, key: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(key))


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_stops_a_sync_in_order(ready_operator: MakeOperator, number: signal.Signals) -> None:
    op = ready_operator()
    running = op.start("sync", "--json")
    wait_until(lambda: sessions(op, "swap sync"), what="sync has a session")
    running.process.send_signal(number)
    result = running.wait()
    assert result.code == 0, result
    assert result.json["reason"] == "stopped"


def test_a_sync_that_had_not_caught_up(ready_operator: MakeOperator) -> None:
    """`sync --once` that a signal ends has not done what it was asked: 6, with its report."""
    op = ready_operator()
    op("pause")
    running = op.start("sync", "--once", "--json")
    wait_until(lambda: op.status()["throttle"], what="sync waits")
    result = running.interrupt()
    assert (result.code, result.json["reason"], result.json["error"]["code"]) == (6, "stopped", 6)
    assert "swap sync --once" in result.json["error"]["hint"]


def sessions(op: Operator, command: str, *, waiting: bool = False) -> list[int]:
    """The server processes of a command: all, or those that wait for a lock."""
    with psycopg.connect(op.db.superuser, autocommit=True) as conn:
        rows = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s || '%%'"
            " AND (wait_event_type = 'Lock' OR NOT %s)",
            [command, waiting],
        ).fetchall()
    return [pid for (pid,) in rows]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_verification_that_waits_for_a_lock(
    ready_operator: MakeOperator, connect: Connect, number: signal.Signals
) -> None:
    op = ready_operator()
    holder = connect(op.db.superuser, autocommit=False)
    holder.execute("LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE")
    running = op.start("verify")
    wait_until(lambda: sessions(op, "swap verify", waiting=True), what="verify waits for the lock")
    running.process.send_signal(number)
    judge(running.wait(), 6)
    holder.rollback()
    assert op.status()["phase"] == "syncing"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_interrupts_at_once(ready_operator: MakeOperator, connect: Connect, number: signal.Signals) -> None:
    """The first asks for an end after the batch in hand, which waits for a lock."""
    op = ready_operator()
    with connect(op.db.superuser) as conn:
        conn.execute("UPDATE public.users SET email = email WHERE id < 10")
    holder = connect(op.db.superuser, autocommit=False)
    holder.execute("LOCK TABLE public.users, public.users_new IN ACCESS EXCLUSIVE MODE")
    running = op.start("sync")
    wait_until(lambda: sessions(op, "swap sync", waiting=True), what="sync waits for the lock")
    running.process.send_signal(number)
    running.wait_line("or a second signal, interrupt at once")
    running.process.send_signal(number)
    judge(running.wait(), 6)
    wait_until(lambda: not sessions(op, "swap sync"), what="its sessions end, and the lock is still held")
    holder.rollback()


# What a command waits for: the state it is in, the lock of another session, the command.
BEHIND = {
    "a backfill": ("prepared", "LOCK TABLE users IN ACCESS EXCLUSIVE MODE", "sync --once"),
    "an index that another thread builds": ("prepared", "LOCK TABLE users_new IN ROW EXCLUSIVE MODE", "sync --once"),
    "a replay": ("changed", "LOCK TABLE users, users_new IN ACCESS EXCLUSIVE MODE", "sync --once"),
    "preflight checks": ("none", "LOCK TABLE users IN ACCESS EXCLUSIVE MODE", "prepare"),
    "a follow-up": ("cut over", "LOCK TABLE sessions IN SHARE UPDATE EXCLUSIVE MODE", "revert --yes"),
    "a follow-up in sync": ("cut over", "LOCK TABLE sessions IN SHARE UPDATE EXCLUSIVE MODE", "sync --once"),
}


def bring_to(op: Operator, state: str) -> None:
    """`cut over`: the command was killed before the follow-up of the exchange."""
    if state == "none":
        return
    op("prepare")
    if state == "prepared":
        return
    op("sync", "--once")
    with psycopg.connect(op.db.owner, autocommit=True) as conn:
        if state == "changed":
            conn.execute("UPDATE users SET email = email WHERE id < 10")
            return
        op("verify")
        op("cutover", "--yes", "--no-snapshot")
        conn.execute("DELETE FROM swap.step WHERE name = 'settled'")
    with psycopg.connect(op.db.superuser, autocommit=True) as conn:
        conn.execute("UPDATE pg_constraint SET convalidated = false WHERE conrelid = 'sessions'::regclass AND contype = 'f'")


@pytest.mark.slow
@pytest.mark.parametrize("case", BEHIND)
def test_one_signal_ends_whatever_waits(operator: MakeOperator, connect: Connect, case: str) -> None:
    """H63: given a command that waits for a lock that stays, on whichever thread, then one signal ends it and its sessions within
    seconds. It can be run again."""
    state, lock, command = BEHIND[case]
    op = operator("fresh", users=60)
    bring_to(op, state)
    holder = connect(op.db.superuser, autocommit=False)
    holder.execute(lock.encode())
    running = op.start(*command.split())
    name = f"swap {command.split()[0]}"
    wait_until(lambda: sessions(op, name, waiting=True), what="it waits for the lock")
    if state != "none":  # the checks wait for 5 s, and name the table
        running.wait_line(f"pid {holder.info.backend_pid} ")
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    judge(running.wait(), 6)
    assert time.monotonic() - began < GRACE_S + 10
    wait_until(lambda: not sessions(op, name), what="its sessions end, and the lock is still held")
    holder.rollback()
    op(*(("prepare",) if state == "none" else ("sync", "--once")))


def test_one_signal_ends_a_hook(ready_operator: MakeOperator, tmp_path: Path) -> None:
    """It may run for an hour."""
    hook = tmp_path / "hook.sh"
    hook.write_text("#!/bin/sh\ntouch begun; exec sleep 3600\n", encoding="ascii")
    hook.chmod(0o755)
    op = ready_operator('[hooks]\npre_swap_snapshot = ["./hook.sh"]\n')
    running = op.start("cutover", "--yes")
    wait_until((tmp_path / "begun").exists, what="the hook runs")
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    judge(running.wait(), 6)
    assert time.monotonic() - began < GRACE_S + 10
    assert op.status()["phase"] == "syncing"
