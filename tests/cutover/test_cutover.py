"""Gates, lock attempts, the hold limit, the hook, and who sees what around the exchange (H33 to H38, H41 to H43)."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.mode import Mode
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Connect
from tests.support.waiting import wait_until

QUICK = "[cutover]\nmax_attempts = 3\nlock_timeout_ms = 50\n"
PATIENT = ("--max-attempts", "9", "--lock-timeout", "20000", "--max-lock-hold", "20000")  # whatever else the machine does


def update(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement)


def test_gate_no_verification(operator: MakeOperator) -> None:
    op = operator()
    op("prepare")
    op("sync", "--once")
    assert "no verification" in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]


def test_gate_verification_too_old(ready_operator: MakeOperator) -> None:
    op = ready_operator("[verify]\nmax_age_s = 1\n")
    update(op.db.superuser, "UPDATE swap.verification SET finished_at = finished_at - interval '1 minute'")
    assert "old" in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]


def test_gate_drift_names_the_change(ready_operator: MakeOperator) -> None:
    """H38: DDL on the source between prepare and cutover."""
    op = ready_operator()
    update(op.db.owner, "ALTER TABLE users ADD COLUMN shoe_size int")
    assert "shoe_size" in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]


@pytest.mark.both_modes
def test_gate_capture_dropped(ready_operator: MakeOperator, capture_mode: Mode) -> None:
    """H38: the capture trigger is gone, or the table from the publication; what was written since is in no queue."""
    op = ready_operator()
    if capture_mode == "trigger":
        what, drop = "swap_capture", "DROP TRIGGER swap_capture ON users"
    else:
        with psycopg.connect(op.db.owner) as conn:
            ((publication,),) = conn.execute("SELECT pubname FROM pg_publication").fetchall()
        what, drop = publication, f"ALTER PUBLICATION {publication} DROP TABLE users"
    update(op.db.owner, drop)
    assert what in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]


def test_snapshot_is_required_or_declined(ready_operator: MakeOperator) -> None:
    op = ready_operator()
    assert "--no-snapshot" in op.refused("cutover", "--yes", code=3)["hint"]


@pytest.mark.both_modes
def test_difference_under_the_lock_rolls_back(ready_operator: MakeOperator) -> None:
    """DESIGN 8.3: a touched key that differs stops the cutover, whoever made the difference."""
    op = ready_operator()
    update(op.db.owner, "UPDATE users SET login_count = login_count + 1 WHERE id = 5")
    op("sync", "--once")
    update(op.db.owner, "UPDATE users_new SET login_count = -5 WHERE id = 5")
    error = op.refused("cutover", "--yes", "--no-snapshot", code=5)
    assert "5" in error["message"]
    assert op.status()["phase"] == "syncing"


@pytest.mark.both_modes
def test_reader_in_the_way_is_named_and_nothing_changes(ready_operator: MakeOperator, connect: Connect) -> None:
    """H34: an idle-in-transaction reader: exit 4 within the budget, the blocker named."""
    op = ready_operator(QUICK)
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("SELECT count(*) FROM users")
    document = op("cutover", "--yes", "--no-snapshot", check=False).json
    error = document["error"]
    assert (error["code"], document["outcome"], document["snapshot"]) == (4, "rolled_back", None)
    assert len(document["waited"]) == document["attempts"] > 1
    assert all(f"pid {reader.info.backend_pid}" in who for who in document["waited"])
    assert f"pid {reader.info.backend_pid}" in error["message"]
    assert "pg_monitor" in error["message"]  # without it the server hides the rest
    update(op.db.superuser, "GRANT pg_monitor TO swap_owner")
    try:
        error = op.refused("cutover", "--yes", "--no-snapshot", code=4)
    finally:
        update(op.db.superuser, "REVOKE pg_monitor FROM swap_owner")
    assert "idle in transaction" in error["message"]
    reader.rollback()
    status = op.status()
    assert (status["phase"], status["last_attempt"]["outcome"]) == ("syncing", "rolled_back")
    assert op("cutover", "--yes", "--no-snapshot", *PATIENT).json["outcome"] == "committed"


def test_idle_blocker_is_ended_when_so_configured(ready_operator: MakeOperator, connect: Connect) -> None:
    op = ready_operator(QUICK.replace("50", "400") + 'kill_blockers = "idle-in-transaction"\n')
    update(op.db.superuser, "GRANT app TO swap_owner; GRANT pg_signal_backend TO swap_owner")
    try:
        reader = connect(op.db.app, autocommit=False)
        reader.execute("SELECT count(*) FROM users")
        done = op("cutover", "--yes", "--no-snapshot").json
    finally:
        update(op.db.superuser, "REVOKE app FROM swap_owner; REVOKE pg_signal_backend FROM swap_owner")
    assert done["outcome"] == "committed"
    with pytest.raises(psycopg.OperationalError):
        reader.execute("SELECT 1")


def test_prepared_transaction_in_the_way(ready_operator: MakeOperator, connect: Connect) -> None:
    """H34: no lock is even asked for while it cannot be had."""
    op = ready_operator(QUICK)
    session = connect(op.db.superuser)
    session.execute("BEGIN; UPDATE users SET login_count = 1 WHERE id = 1; PREPARE TRANSACTION 'in the way'")
    error = op.refused("cutover", "--yes", "--no-snapshot", code=4)
    assert "prepared transaction in the way holds a lock on public.users" in error["message"]
    session.execute("COMMIT PREPARED 'in the way'")
    assert op("cutover", "--yes", "--no-snapshot", *PATIENT).json["outcome"] == "committed"
    row = connect(op.db.superuser).execute("SELECT login_count FROM users WHERE legacy_id = 1").fetchone()
    assert row == (1,)


@pytest.mark.both_modes
def test_hold_limit_rolls_back(ready_operator: MakeOperator, connect: Connect) -> None:
    """I2: a slow statement under the lock ends the attempt; nothing changed, and a later attempt succeeds."""
    op = ready_operator("[cutover]\nmax_attempts = 2\nmax_lock_hold_ms = 150\n")
    # A statement of the script that is slow on purpose: an event trigger that waits for a lock held elsewhere.
    holder = connect(op.db.superuser)
    holder.execute("SELECT pg_advisory_lock(42)")
    update(
        op.db.superuser,
        "CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF current_user = 'swap_owner' AND current_query() LIKE '%RENAME%' THEN PERFORM pg_advisory_xact_lock_shared(42); END IF; END $$;"
        " CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.slow()",
    )
    try:
        error = op.refused("cutover", "--yes", "--no-snapshot", "--lock-timeout", "5000", code=4)
    finally:
        update(op.db.superuser, "DROP EVENT TRIGGER slow")
    assert "150 ms" in error["message"]
    assert op.status()["phase"] == "syncing"
    assert op("cutover", "--yes", "--no-snapshot", *PATIENT).json["outcome"] == "committed"


@pytest.mark.both_modes
def test_second_cutover_is_refused(ready_operator: MakeOperator, connect: Connect) -> None:
    """H42: two operators at once."""
    op = ready_operator("[cutover]\nmax_attempts = 200\nlock_timeout_ms = 20\n")
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("SELECT count(*) FROM users")
    first = op.start("cutover", "--yes", "--no-snapshot", "--json")
    first.wait_line("attempt 1 of")
    assert "cutover" in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]
    reader.rollback()
    assert first.wait().code == 0


def test_operator_stops_between_attempts(ready_operator: MakeOperator, connect: Connect) -> None:
    op = ready_operator("[cutover]\nmax_attempts = 500\nlock_timeout_ms = 20\n")
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("SELECT count(*) FROM users")
    running = op.start("cutover", "--yes", "--no-snapshot", "--json")
    running.wait_line("attempt 1 of")
    assert running.terminate().code == 6
    assert op.status()["phase"] == "syncing"


@pytest.mark.parametrize("visible", [True, False], ids=["pg_monitor", "unprivileged"])
def test_old_snapshot_waits(ready_operator: MakeOperator, connect: Connect, visible: bool) -> None:
    """H36: a snapshot older than the shadow's rows would find an almost empty table after the rename."""
    op = ready_operator("[cutover]\nmax_attempts = 1\n")
    old = connect(op.db.superuser, autocommit=False)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT 1")  # takes the snapshot, and no lock on any table
    conn = connect(op.db.superuser)
    conn.execute("UPDATE swap.run SET complete_xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1)::text")
    update(op.db.superuser, f"{'GRANT' if visible else 'REVOKE'} pg_monitor {'TO' if visible else 'FROM'} swap_owner")
    try:
        message = op.refused("cutover", "--yes", "--no-snapshot", code=4)["message"]
        assert "snapshot older than the shadow" in message
        assert not visible or f"pid {old.info.backend_pid}" in message
        old.rollback()
        assert op("cutover", "--yes", "--no-snapshot", *PATIENT).json["outcome"] == "committed"
    finally:
        update(op.db.superuser, "REVOKE pg_monitor FROM swap_owner")


def test_stale_writer_is_told_to_retry(ready_operator: MakeOperator, connect: Connect) -> None:
    """A REPEATABLE READ transaction with a snapshot from before the exchange gets 40001, not zero rows."""
    op = ready_operator()
    update(op.db.superuser, "GRANT pg_monitor TO swap_owner")
    try:
        stale = connect(op.db.superuser, autocommit=False)
        stale.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        stale.execute("SELECT 1")  # takes the snapshot, and no lock on any table
        assert op("cutover", "--yes", "--no-snapshot").json["outcome"] == "committed"
    finally:
        update(op.db.superuser, "REVOKE pg_monitor FROM swap_owner")
    with pytest.raises(psycopg.errors.SerializationFailure):
        stale.execute("UPDATE users SET login_count = 1 WHERE email = 'nobody'")


@pytest.mark.both_modes
def test_killed_after_commit_sync_finishes_the_follow_up(ready_operator: MakeOperator, connect: Connect) -> None:
    """I4: SIGKILL between the commit and the validation of the foreign keys: `sync` validates them."""
    op = ready_operator()
    blocker = connect(op.db.superuser, autocommit=False)
    running = _cutover_with_blocked_validation(op, blocker, connect)
    running.kill()
    blocker.rollback()
    assert op.status()["phase"] == "cut_over"
    op("sync", "--once")
    conn = connect(op.db.superuser)
    row = conn.execute(
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated AND conrelid = 'sessions'::regclass"
    ).fetchone()
    assert row == (0,)
    assert op("verify").json["verdict"] == "identical"


def _cutover_with_blocked_validation(op: Operator, blocker: psycopg.Connection[Any], connect: Connect) -> Any:
    """Start a cutover, and hold a lock that VALIDATE needs from the moment the exchange is committed."""
    watcher = connect(op.db.superuser)
    done = threading.Event()

    def grab() -> None:
        blocker.execute("LOCK TABLE sessions IN SHARE UPDATE EXCLUSIVE MODE")
        done.set()

    update(op.db.owner, "SELECT 1")
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("SELECT count(*) FROM users")  # keeps the attempts failing until the blocker is in the queue
    running = op.start("cutover", "--yes", "--no-snapshot", "--json")
    running.wait_line("attempt 1 of")
    running_pid = watcher.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'swap cutover'").fetchone()
    assert running_pid is not None
    thread = threading.Thread(target=grab)
    reader.rollback()
    wait_until(lambda: watcher.execute("SELECT to_regclass('users_old') IS NOT NULL").fetchone() == (True,), 20)
    thread.start()
    thread.join(10)
    assert done.is_set()
    return running


def hook(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "snapshot.sh"
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_hook_gets_its_environment_and_names_the_snapshot(ready_operator: MakeOperator, tmp_path: Path) -> None:
    path = hook(tmp_path, 'echo noise; env > "$0.env"; echo "snap-$SWAP_RUN_ID-$SWAP_PHASE"\n')
    op = ready_operator(f'[hooks]\npre_swap_snapshot = ["{path}"]\n')
    done = op("cutover", "--yes", env={"UNRELATED_SECRET": "x"}).json
    assert done["snapshot"].startswith("snap-")
    env = dict(line.split("=", 1) for line in Path(f"{path}.env").read_text().splitlines() if "=" in line)
    assert env["SWAP_TABLE"] == "public.users"
    assert {"SWAP_RUN_ID", "SWAP_LSN", "SWAP_XID", "SWAP_PHASE", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER"} <= set(env)
    assert "UNRELATED_SECRET" not in env
    assert "SWAP_DSN" not in env


@pytest.mark.parametrize(
    ("text", "timeout", "code"),
    [("exit 3\n", 60, 3), ("sleep 600\n", 1, -15), ("exit 0\n", 60, 0)],
    ids=["fails", "hangs", "silent"],
)
def test_failing_hook_stops_the_cutover(ready_operator: MakeOperator, tmp_path: Path, text: str, timeout: int, code: int) -> None:
    """H41: exit 6, nothing changed; what the hook said is in the journal."""
    path = hook(tmp_path, f"echo disk full >&2\n{text}")
    op = ready_operator(f'[hooks]\npre_swap_snapshot = ["{path}"]\ntimeout_s = {timeout}\n')
    op.refused("cutover", "--yes", code=6)
    assert op.status()["phase"] == "syncing"
    with psycopg.connect(op.db.owner) as conn:
        ((journalled, output),) = conn.execute("SELECT exit_code, output FROM swap.hook").fetchall()
    assert journalled == code
    assert "disk full" in output


def test_missing_hook_program(ready_operator: MakeOperator) -> None:
    op = ready_operator('[hooks]\npre_swap_snapshot = ["./no-such-program"]\n')
    assert "no-such-program" in op.refused("cutover", "--yes", code=6)["message"]


@pytest.mark.both_modes
def test_rows_born_after_the_cutover_survive_the_revert(ready_operator: MakeOperator, connect: Connect) -> None:
    """H43, I6: a user and its session made after the cutover are there after the revert, under both keys."""
    op = ready_operator()
    op("cutover", "--yes", "--no-snapshot")
    conn = connect(op.db.superuser)
    made = conn.execute(
        "INSERT INTO users (email, organization_id) SELECT 'born-late@example.com', min(id) FROM organizations"
        " RETURNING id, legacy_id"
    ).fetchone()
    assert made is not None
    conn.execute("INSERT INTO sessions (user_id, token) VALUES (%s, 'late-token')", [made[0]])
    conn.execute("DELETE FROM users WHERE legacy_id = 3")
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"
    op("revert", "--yes")
    row = conn.execute(
        "SELECT u.id, u.uuid_id, s.user_uuid_id FROM users u JOIN sessions s ON s.user_id = u.id WHERE token = 'late-token'"
    ).fetchone()
    assert row == (made[1], made[0], made[0])
    assert conn.execute("SELECT count(*) FROM users WHERE id = 3").fetchone() == (0,)


def test_finalize_drop_legacy_lists_what_still_needs_an_integer(ready_operator: MakeOperator, connect: Connect) -> None:
    """H45: the policies compare the integer; they are named, and nothing is dropped."""
    op = ready_operator()
    op("cutover", "--yes", "--no-snapshot")
    message = op.refused("finalize", "--yes", "--drop-legacy", code=3)["message"]
    assert "policy users_self" in message
    assert op.refused("finalize", "--dry-run", "--drop-legacy", code=3)["message"] == message
    assert op("finalize", "--dry-run").json["statements"]
    conn = connect(op.db.superuser)
    assert conn.execute("SELECT to_regclass('users_old') IS NOT NULL").fetchone() == (True,)
    for name, table in conn.execute(
        "SELECT polname, polrelid::regclass::text FROM pg_policy WHERE pg_get_expr(polqual, polrelid) LIKE '%user_id%'"
    ).fetchall():
        conn.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(name), sql.Identifier(table)))
    op("finalize", "--yes", "--drop-legacy")
    assert conn.execute("SELECT to_regclass('users_old')").fetchone() == (None,)
    columns = {r[0] for r in conn.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0")}
    assert "id" in columns
    assert not {c for c in columns if "legacy" in c}
    conn.execute("INSERT INTO users (email, organization_id) SELECT 'after-all@example.com', min(id) FROM organizations")


def test_view_over_a_reference_alone_follows(operator: MakeOperator, connect: Connect) -> None:
    """H26: the view does not mention the source; it shows the uuid after the cutover and the integer after the revert."""
    op = operator()
    conn = connect(op.db.superuser)
    conn.execute(
        "CREATE VIEW who AS SELECT user_id FROM sessions; ALTER VIEW who OWNER TO swap_owner; GRANT SELECT ON who TO app"
    )
    op.ready()
    op("cutover", "--yes", "--no-snapshot")
    shown = "SELECT pg_typeof(user_id)::text, has_table_privilege('app', 'who', 'SELECT') FROM who LIMIT 1"
    assert conn.execute(shown).fetchone() == ("uuid", True)
    op("sync", "--once")
    op("verify")
    op("revert", "--yes")
    assert conn.execute(shown).fetchone() == ("bigint", True)


def test_ddl_before_the_end_of_the_build_is_refused(operator: MakeOperator) -> None:
    """H38, I10: what was added to the source after `prepare` is not in the shadow; it stops the run by name."""
    op = operator()
    op("prepare")
    update(op.db.owner, "CREATE INDEX sneaky ON users (born_on)")
    assert "sneaky" in op.refused("sync", "--once", code=3)["message"]
    update(op.db.owner, "DROP INDEX sneaky")
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"


def test_prepare_after_finalize_is_refused(ready_operator: MakeOperator) -> None:
    op = ready_operator()
    op("cutover", "--yes", "--no-snapshot")
    op("finalize", "--yes")
    assert "uuid already" in op.refused("prepare", code=8)["message"]
    assert op.status()["phase"] == "finalized"


def test_identity_column_without_a_default_becomes_a_key_with_one(operator: MakeOperator, connect: Connect) -> None:
    op = operator()
    update(op.db.owner, "ALTER TABLE users ALTER uuid_id DROP DEFAULT")
    op.ready()
    op("cutover", "--yes", "--no-snapshot")
    conn = connect(op.db.superuser)
    conn.execute("INSERT INTO users (email, organization_id) SELECT 'no-default@example.com', min(id) FROM organizations")


def test_interrupt_ends_a_command_with_three_lines(operator: MakeOperator, connect: Connect) -> None:
    op = operator(settings="[cutover]\nmax_attempts = 500\nlock_timeout_ms = 20\n")
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("LOCK TABLE users IN ROW EXCLUSIVE MODE")
    running = op.start("prepare")
    running.wait_line("was not free")
    ended = running.interrupt()
    assert ended.code == 6
    assert [line.split(":")[0] for line in ended.stderr.splitlines()[-3:]] == ["error", "state", "next"]
