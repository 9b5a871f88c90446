"""H41: the snapshot hook fails, hangs, prints megabytes, is not executable, succeeds without a snapshot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from cutover import hook
from cutover.hook import HookResult, run_hook
from cutover.hook_output import TAIL_BYTES, Audience, Output, Teller, as_text
from swap import hooks as ready
from swap.core.connection import Database as Conninfo
from swap.core.errors import ExitCode, StoppedError
from swap.core.libpq_environment import libpq_environment
from swap.core.report import Silent
from tests.support.commands import ROOT, Cli
from tests.support.servers import DatabaseServer, ExampleFactory
from tests.support.waiting import wait_until

PG_DUMP, RESTORE_POINT = ["swap", "hook", "pg_dump"], ["swap", "hook", "restore_point"]
Script = Callable[[str], str]


@dataclass
class Told(Silent):
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def waiting(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Factory: an executable shell script in the hook's working directory; returns its relative path."""

    def make(body: str) -> str:
        path = tmp_path / "hook.sh"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return "./hook.sh"

    return make


def run(argv: list[str], cwd: Path, *, timeout_s: float = 20, **env: str) -> HookResult:
    return run_hook(argv, env=env, timeout_s=timeout_s, cwd=cwd)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_last_line_of_stdout_is_the_snapshot(script: Script, tmp_path: Path) -> None:
    result = run([script("echo one; echo two; echo; echo warning >&2"), "unused argument"], tmp_path)
    assert (result.exit_code, result.snapshot) == (0, "two")
    assert {"one", "two", "warning"} == set(result.output.split())
    assert 0 < result.seconds < 20


def test_its_lines_are_told_while_it_runs(script: Script, tmp_path: Path) -> None:
    """With the time that it has been running; of a flood the newest lines, and how many there were; a password is masked."""
    told = Told()
    body = "echo begins; echo the secret is s3cr3t >&2; [ $1 = many ] && seq 10000; echo snap"
    run_hook([script(body), "few"], env={}, timeout_s=20, cwd=tmp_path, audience=Audience(told, ["s3cr3t"]))
    assert {"hook: begins", "hook: the secret is ********", "hook: snap"} == set(told.notes)
    assert told.reasons[0].startswith("the snapshot hook ./hook.sh has been running for ")
    assert told.reasons[-1] == ""
    told = Told()
    run_hook([script(body), "many"], env={}, timeout_s=20, cwd=tmp_path, audience=Audience(told))
    assert "hook: snap" in told.notes  # the two streams come in no order
    assert len(told.notes) < 100
    assert any("more lines" in note for note in told.notes)


def test_a_password_in_two_reads_is_masked() -> None:
    """A pipe ends a read where it is full, and the other stream may come between the halves."""
    told, output = Told(), Output()
    teller = Teller("hook", told, ["s3cr3t"], output, began=0)
    for data, stdout in ((b"password s3c", True), (b"warning\n", False), (b"r3t\n", True), (b"50 %\rsnap", True)):
        output.add(data, stdout=stdout)
        teller.tell(at_once=True)
    output.end_line()
    assert "s3c" not in as_text(output.tail, teller.hidden) + "".join(told.notes)
    assert (as_text(output.last, []), told.notes[:2]) == ("snap", ["hook: warning", "hook: password ********"])


def test_a_line_without_newline_counts_and_a_long_one_is_cut(script: Script, tmp_path: Path) -> None:
    assert run([script("echo first; printf last")], tmp_path).snapshot == "last"
    assert run([script("yes é | head -n 3000 | tr -d '\\n'")], tmp_path).snapshot == "é" * 500


def test_control_codes_do_not_reach_a_terminal(script: Script, tmp_path: Path) -> None:
    assert "\x1b" not in run([script("printf 'snap\\033[31mred\\n'")], tmp_path).snapshot


def test_arguments_go_without_a_shell(script: Script, tmp_path: Path) -> None:
    assert run([script('echo "$1"'), "$(touch broken); *"], tmp_path).snapshot == "$(touch broken); *"
    assert not (tmp_path / "broken").exists()


def test_paths_with_a_slash_start_at_the_configuration_and_others_in_path(script: Script, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    script("pwd")
    (tmp_path / "hook.sh").rename(tmp_path / "sub" / "hook.sh")
    assert run(["sub/hook.sh"], tmp_path).snapshot == str(tmp_path)
    assert run(["echo", "from path"], tmp_path).snapshot == "from path"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo nearly; echo 'disk full' >&2; exit 3", "exit code 3"),
        ("kill -9 $$", "signal 9"),
        ("exit 0", "without naming a snapshot"),
        ("echo; echo '   '", "without naming a snapshot"),
        ("echo only-on-stderr >&2", "without naming a snapshot"),
    ],
)
def test_failure_stops_the_cutover(script: Script, tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(StoppedError, match=said) as raised:
        run([script(body)], tmp_path)
    assert raised.value.exit_code == ExitCode.STOPPED
    assert raised.value.state == "Nothing was changed."
    assert ("disk full" in raised.value.hint) == ("disk full" in body)


def test_missing_not_executable_and_no_interpreter(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo x\n")
    (tmp_path / "binary").write_bytes(b"\x01\x02\x03")
    (tmp_path / "binary").chmod(0o755)
    for argv, said in (
        (["./absent"], "no such program"),
        (["absent-from-path"], "no such program"),
        (["./plain"], "not executable"),
        (["./binary"], "#! line"),
        (["echo", "a\0b"], "null"),
    ):
        with pytest.raises(StoppedError, match=said):
            run(argv, tmp_path)
    with pytest.raises(StoppedError, match="does not exist"):
        run(["./hook.sh"], tmp_path / "nowhere")


def test_a_timeout_ends_the_whole_group(script: Script, tmp_path: Path) -> None:
    body = "sleep 600 & echo $! > pids; sleep 600 & echo $! >> pids; echo working; wait"
    with pytest.raises(StoppedError, match=r"still running after 2 s") as raised:
        run([script(body)], tmp_path, timeout_s=2)
    pids = [int(p) for p in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: all(map(gone, pids)), what="the hook's children are gone")
    assert "working" in raised.value.hint


def test_what_ignores_sigterm_is_killed(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "KILL_AFTER_S", 0.3)
    body = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done"
    with pytest.raises(StoppedError, match="still running"):
        run([script(body)], tmp_path, timeout_s=2)
    assert gone(int((tmp_path / "pid").read_text()))


def test_megabytes_of_output_are_read_in_bounded_memory(script: Script, tmp_path: Path) -> None:
    body = "head -c 60000000 /dev/zero | tr '\\0' x; echo; head -c 20000000 /dev/zero >&2; echo the-snapshot"
    tracemalloc.start()
    try:
        result = run([script(body)], tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.snapshot == "the-snapshot"
    assert len(result.output.encode()) <= TAIL_BYTES
    assert peak < 2_000_000


def test_a_background_process_that_keeps_stdout_does_not_hold_up_the_cutover(script: Script, tmp_path: Path) -> None:
    result = run([script("sleep 600 & echo $! > pid; echo done")], tmp_path)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert result.snapshot == "done"
        assert not gone(pid), "nothing waited for it"
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_environment_is_minimal_and_the_dsn_stays_out(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = {
        "SWAP_DSN": "host=x password=secret",
        "AWS_SECRET_ACCESS_KEY": "k",
        "PGTZ": "UTC",
        "PGHOSTADDR": "192.0.2.1",
        "PGSERVICE": "x",
    }
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    run([script("env > env.txt; echo ok")], tmp_path, PGUSER="swap_owner", PGPASSWORD="pw", SWAP_RUN_ID="7", SWAP_DSN="x")
    seen = dict(line.split("=", 1) for line in (tmp_path / "env.txt").read_text().splitlines())
    assert seen["SWAP_RUN_ID"] == "7"
    assert (seen["PGUSER"], seen["PGTZ"]) == ("swap_owner", "UTC")
    assert "PATH" in seen
    assert not {"SWAP_DSN", "AWS_SECRET_ACCESS_KEY", "PYTEST_CURRENT_TEST", "PGHOSTADDR", "PGSERVICE"} & set(seen)


def test_a_password_is_masked_in_what_is_kept(script: Script, tmp_path: Path) -> None:
    result = run([script('echo "took $PGPASSWORD"')], tmp_path, PGPASSWORD="hunter22")
    assert "hunter22" not in result.output + result.snapshot
    with pytest.raises(StoppedError) as raised:
        run([script('echo "took $PGPASSWORD"; exit 1')], tmp_path, PGPASSWORD="hunter22")
    assert "hunter22" not in raised.value.hint


def test_stdin_is_empty(script: Script, tmp_path: Path) -> None:
    assert run([script("cat; echo end")], tmp_path).output == "end"


def test_an_interrupt_ends_the_group_and_propagates(script: Script, tmp_path: Path) -> None:
    """Ctrl-C reaches swap alone: the hook has a session of its own."""
    argv = [script("sleep 600 & echo $! > child; echo $$ > pid; wait")]
    program = (  # a suite that runs in the background has inherited SIGINT ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"import cutover.hook; from pathlib import Path; cwd = Path({str(tmp_path)!r}); follow = cutover.hook._follow;"
        "cutover.hook._follow = lambda *args: ((cwd / 'followed').touch(), follow(*args))[1];"
        f"cutover.hook.run_hook({argv!r}, env={{}}, timeout_s=60, cwd=cwd)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    pid_file = tmp_path / "pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), what="the hook runs")
    wait_until((tmp_path / "followed").exists, what="its start is known")  # an interrupt just before that would leave it running
    leader = int(pid_file.read_text())
    assert os.getsid(leader) == leader
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in stderr
    for name in ("pid", "child"):
        pid = int((tmp_path / name).read_text())
        wait_until(partial(gone, pid), what="the hook's processes are gone")


# The two ready hooks, on a real server.


def hook_env(server: DatabaseServer, conninfo: str) -> dict[str, str]:
    with Conninfo.from_options(conninfo, "cutover").session() as conn, libpq_environment(conn) as env:
        pass
    path = f"{server.bindir}{os.pathsep}{os.environ['PATH']}"
    return {**env, "PATH": path, "SWAP_RUN_ID": "7", "SWAP_PHASE": "syncing", "SWAP_TABLE": "public.users"}


def test_an_interrupt_while_it_starts(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Between the fork and the moment when there is a process to kill."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    start, started = hook._start, list[int]()

    def interrupted(*args: Any) -> subprocess.Popen[bytes]:
        process = start(*args)
        started.append(process.pid)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(hook, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([script("sleep 600")], tmp_path)
    assert len(started) == 1
    wait_until(lambda: gone(started[0]), what="the hook has ended")


def test_pg_dump_hook_leaves_a_dump_that_restores(
    server: DatabaseServer, example: ExampleFactory, tmp_path: Path, new_database: Callable[[str], object]
) -> None:
    database = example("adopt", users=50)
    env = hook_env(server, database.superuser) | {"SWAP_SNAPSHOT_DIR": "backups/today"}
    result = run_hook(PG_DUMP, env=env, timeout_s=60, cwd=tmp_path)
    dump = Path(result.snapshot)
    assert dump.parent == tmp_path / "backups" / "today"
    assert dump.name.startswith("7-syncing-")
    assert [p.name for p in dump.parent.iterdir()] == [dump.name]
    listing = subprocess.run(
        [server.bindir / "pg_restore", "--data-only", "--table=users", "--file=-", dump], capture_output=True, check=True
    ).stdout
    assert listing.count(b"\n") > 50


def test_pg_dump_hook_fails_cleanly(server: DatabaseServer, example: ExampleFactory, tmp_path: Path) -> None:
    """A role that may not read everything gets no dump, and no half of one is left behind."""
    database = example("adopt", users=50)
    with pytest.raises(StoppedError, match="exit code") as raised:
        run_hook(PG_DUMP, env=hook_env(server, database.app), timeout_s=60, cwd=tmp_path)
    assert "pg_dump: error" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_restore_point_hook_names_the_point_and_its_lsn(server: DatabaseServer, example: ExampleFactory, tmp_path: Path) -> None:
    database = example("adopt", users=50)
    argv = RESTORE_POINT
    with pytest.raises(StoppedError, match="exit code"):
        run_hook(argv, env=hook_env(server, database.owner), timeout_s=60, cwd=tmp_path)
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute("GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO swap_owner")
    result = run_hook(argv, env=hook_env(server, database.owner), timeout_s=60, cwd=tmp_path)
    name, _, lsn = result.snapshot.partition(" at ")
    assert name.startswith("swap-7-syncing-")
    assert "/" in lsn


# `swap hook`, and its place in swap.toml.


def test_a_ready_hook_starts_where_swap_is_not_in_path(tmp_path: Path) -> None:
    """A virtualenv that is not activated, pipx, uvx, a zipapp. And a file called `swap` there is not run in its place."""
    program = tmp_path / "swap"
    program.write_text("#!/bin/sh\necho stolen\n")
    program.chmod(0o755)
    with pytest.raises(StoppedError, match="hook swap failed") as raised:
        run(PG_DUMP, tmp_path)
    assert "SWAP_RUN_ID: is set by swap" in raised.value.hint
    with pytest.raises(StoppedError) as raised:
        run(PG_DUMP, tmp_path, PATH=str(tmp_path), SWAP_RUN_ID="7", SWAP_PHASE="syncing")
    assert "stolen" not in raised.value.hint


def test_by_hand(cli: Cli, server: DatabaseServer, example: ExampleFactory, tmp_path: Path) -> None:
    env = hook_env(server, example("adopt", users=50).superuser)
    done = cli("hook", "pg_dump", env=env | {"SWAP_SNAPSHOT_DIR": str(tmp_path / "dumps")})
    assert Path(done.stdout.splitlines()[-1]).is_dir()
    failed = cli("hook", "pg_dump", env=env | {"PGHOST": "127.0.0.1", "PGPORT": "1"}, check=False)
    assert failed.code not in (0, 2), "the exit code is the hook's own"


def test_by_hand_without_its_variables(cli: Cli) -> None:
    told = cli("hook", "pg_dump", check=False)
    assert told.code == 2
    assert "SWAP_RUN_ID=0 SWAP_PHASE=trial swap hook pg_dump" in told.stderr
    assert cli("hook", "tar", check=False).code == 2


@pytest.mark.parametrize("name", ready.NAMES)
def test_printed_it_is_a_script(cli: Cli, name: str) -> None:
    printed = cli("hook", name, "--print").stdout
    assert printed == ready.script(name)
    assert printed.startswith("#!/bin/sh\n")
    assert cli("hook", name, "--json").json == {"name": name, "script": printed, "next": None}
    subprocess.run(["sh", "-n"], input=printed, text=True, check=True)
