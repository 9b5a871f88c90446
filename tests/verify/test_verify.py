"""Both methods find every planted difference, and an unfinished verification is never called a success (I7)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from swap.core.snapshot import Snapshot
from swap.core.sql_text import load_sql
from tests.support.servers import Connect
from tests.support.verifying import METHODS, OnProgress, Verified, before_range, entries_since, failed, plain, reason, status_of
from tests.support.waiting import wait_until
from verify.checksum import row_hash
from verify.ranges import KeyRange, key_ranges
from verify.repair import Repaired, repair
from verify.report import Method

by_both = pytest.mark.parametrize("method", METHODS)
USERS = "public.users"


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 40)


@by_both
@pytest.mark.parametrize("jobs", [1, 3])
def test_no_difference(verified: Verified, method: Method, jobs: int) -> None:
    report = verified(method, jobs=jobs)
    assert report.verdict == "identical", report
    assert not report.findings
    assert failed(report) == set()
    source = report.tables[0]
    assert (source.name, source.rows, source.pending, source.differences) == (USERS, 300, 0, 0)
    assert (source.checksum is not None) == (method == "checksum")
    assert {t.name: t.rows for t in report.tables[1:]}["public.sessions"] == 300
    assert status_of(report, "no_orphans") == "warning"  # audit rows of deleted users; no foreign key forbids them


@by_both
def test_identical_is_journalled(verified: Verified, method: Method) -> None:
    report = verified(method)
    assert verified.run().verified == report.covered
    row = verified.owner.execute(
        "SELECT id, method, verdict, snapshot, repaired, report->>'verdict' FROM swap.verification"
    ).fetchall()
    assert row == [(report.id, method, "identical", report.snapshot, False, "identical")]
    digests = verified.owner.execute(
        "SELECT part, count(*), sum(rows)::int, bool_or(low IS NULL), bool_or(high IS NULL), string_agg(digest, ' ' ORDER BY number)"
        " FROM swap.range_digest GROUP BY part ORDER BY part"
    ).fetchall()
    if method == "exact":
        assert digests == []
    else:
        shadow, source = (next(d for d in digests if d[0] == name) for name in (f"{USERS}_new", USERS))
        assert shadow[1:] == source[1:]
        assert source[1] > 3
        assert source[2:5] == (300, True, True)


@by_both
def test_pending_keys_are_left_out_and_counted(verified: Verified, method: Method) -> None:
    """50,000 pending keys hide no other difference. A real difference among them is found as soon as its key is not pending."""
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id % 2 = 0")
    verified.owner.execute("INSERT INTO users (organization_id, email) VALUES (1, 'new@example.com')")
    verified.owner.execute("DELETE FROM users WHERE id = 2")
    report = verified(method)
    assert report.verdict == "identical", report
    (pending,) = verified.owner.execute("SELECT count(*) + 1 FROM users WHERE id % 2 = 0").fetchone() or (None,)
    assert report.tables[0].pending == pending
    # The mark lies before the changes that were left out: a cutover compares them once more.
    covered = Snapshot.parse(report.covered or "")
    assert covered.xmax < Snapshot.parse(report.snapshot or "").xmax
    plan = verified.run().plan
    entries = sql.SQL("SELECT count(DISTINCT d.key) FROM ({}) d").format(entries_since(verified, covered))
    assert verified.owner.execute(entries).fetchone() == (pending,)

    changes = sql.Identifier("swap", f"users_{plan.tag}_changes_0")
    verified.owner.execute(sql.SQL("INSERT INTO {} (key) SELECT generate_series(1000, 51000)").format(changes))
    verified.owner.execute("UPDATE users_new SET login_count = 77 WHERE id IN (6, 7, 1500)")
    report = verified(method)
    assert plain(report) == [(USERS, 7, "different", ("login_count",))]
    assert report.tables[0].pending > 50_000
    verified.op("sync", "--once")
    assert verified(method).tables[0].pending == 0
    assert [f.key for f in verified(method).findings] == [7]


def test_a_queued_truncate_leaves_nothing_to_compare(verified: Verified) -> None:
    """H6."""
    verified.owner.execute("TRUNCATE users CASCADE")
    report = verified()
    assert report.verdict == "incomplete"
    assert "TRUNCATE is queued" in reason(report)


@by_both
@pytest.mark.parametrize("statement", ["TRUNCATE users CASCADE", "TRUNCATE users_new", "VACUUM FULL sessions"])
def test_a_table_emptied_meanwhile_is_not_called_equal(verified: Verified, method: Method, statement: LiteralString) -> None:
    """TRUNCATE empties a table for older snapshots too, and a range holds no lock while it waits for its turn."""
    report = verified(method, reporter=OnProgress(lambda: verified.owner.execute(statement)), jobs=1)
    assert report.verdict == "incomplete"
    assert "truncated, rewritten or replaced meanwhile" in reason(report)
    assert verified.run().verified is None


@by_both
def test_both_empty_says_so(verified: Verified, method: Method) -> None:
    verified.owner.execute("TRUNCATE users CASCADE")
    verified.op("sync", "--once")
    report = verified(method)
    assert report.verdict == "identical"
    assert "both empty" in next(c.detail for c in report.checks if c.name == "rows")


def terminate(conn: psycopg.Connection[Any], name: str) -> None:
    found = conn.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        [name],
    ).fetchall()
    assert found == [(True,)]


@by_both
@pytest.mark.parametrize("session", ["worker 1", "worker 2", "snapshot", "queue", "verify"])
def test_a_killed_session_is_incomplete(verified: Verified, connect: Connect, method: Method, session: str) -> None:
    admin = connect(verified.db.superuser)
    report = verified(method, reporter=OnProgress(lambda: terminate(admin, f"swap verify ({session})")))
    assert report.verdict == "incomplete"
    assert any(word in reason(report) for word in ("terminating connection", "lost", "closed"))
    assert verified.run().verified is None


def waiting_worker(conn: psycopg.Connection[Any]) -> int | None:
    row = conn.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'swap verify (worker 1)'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return int(row[0]) if row else None


@by_both
@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("table", ["users_new", "sessions"])
def test_a_stopped_query_is_incomplete(
    verified: Verified,
    connect: Connect,
    method: Method,
    end: LiteralString,
    table: LiteralString,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A query is stopped while it waits for a lock: one of the row comparison, or one of a reference."""
    admin, holder = connect(verified.db.superuser), connect(verified.db.superuser)

    def hold() -> None:
        holder.execute("BEGIN")
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))

    before_range(monkeypatch, 2, hold)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(verified, method, jobs=1)
        try:
            pid = wait_until(lambda: waiting_worker(admin), what="the worker waits")
            admin.execute(sql.SQL("SELECT {}(%s)").format(sql.Identifier(end)), [pid])
            report = running.result()
        finally:
            holder.execute("ROLLBACK")
    assert report.verdict == "incomplete"
    assert verified.run().verified is None


def test_interrupt_leaves_no_session(verified: Verified, connect: Connect) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verified(reporter=OnProgress(interrupt))
    admin = connect(verified.db.superuser)
    wait_until(
        lambda: (
            admin.execute(
                "SELECT FROM pg_stat_activity WHERE application_name LIKE 'swap verify%' AND datname = current_database()"
            ).fetchone()
            is None
        ),
        what="every session has ended",
    )


@by_both
def test_a_cap_that_was_reached_is_incomplete(verified: Verified, method: Method) -> None:
    verified.owner.execute("UPDATE users_new SET revision = -1 WHERE id BETWEEN 60 AND 69")
    report = verified(method, limit=3)
    assert report.verdict == "incomplete"
    assert len(report.findings) == 3
    assert report.tables[0].different == 10
    assert "more rows differ than the 3" in reason(report)


@by_both
@pytest.mark.parametrize(
    "lost",
    [lambda ranges: ranges[1:], lambda ranges: ranges[:-1], lambda ranges: ranges[:2] + ranges[3:], lambda ranges: ()],
    ids=["first", "last", "middle", "all"],
)
def test_a_range_that_was_left_out_is_noticed(
    verified: Verified,
    method: Method,
    lost: Callable[[tuple[KeyRange, ...]], tuple[KeyRange, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("verify.snapshot_pass.key_ranges", lambda cuts, within: lost(key_ranges(cuts, within)))
    report = verified(method)
    assert report.verdict == "incomplete"
    assert "ranges" in reason(report)


@pytest.mark.parametrize("cuts", [(), (0,), (5, -5, 5), range(-100, 100)])
def test_ranges_cover_every_key_once(cuts: tuple[int, ...]) -> None:
    ranges = key_ranges(cuts)
    assert (ranges[0].low, ranges[-1].high) == (None, None)
    assert all(a.high == b.low for a, b in pairwise(ranges))
    assert [r.number for r in ranges] == list(range(1, len(ranges) + 1))
    within = KeyRange(7, -3, 4)
    finer = key_ranges(cuts, within)
    assert (finer[0].low, finer[-1].high) == (-3, 4)
    assert all(a.high == b.low and -3 < b.low < 4 for a, b in pairwise(finer) if b.low is not None)


def test_only_access_share_is_taken(verified: Verified, connect: Connect) -> None:
    """It takes the weakest lock. The lock that it holds for the whole verification is on the queue, on no table of the
    application."""
    admin = connect(verified.db.superuser)
    seen: list[tuple[str, str, str]] = []

    def read_locks() -> None:
        seen.extend(
            admin.execute(
                "SELECT a.application_name, l.mode, n.nspname::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE a.application_name LIKE 'swap verify%' AND a.datname = current_database()"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchall()
        )

    verified(reporter=OnProgress(read_locks), jobs=1)
    assert {mode for _, mode, _ in seen} == {"AccessShareLock"}
    held = {schema for name, _, schema in seen if "worker" not in name}
    assert "swap" in held
    assert "public" not in held


CHECKS: tuple[tuple[str, LiteralString], ...] = (
    ("capture_installed", 'ALTER TABLE sessions DISABLE TRIGGER "~swap_guard_4_insert"'),
    ("structure", "ALTER TABLE users ADD COLUMN added int"),
    ("structure", "ALTER TABLE users_new ADD COLUMN added int"),
    ("structure", "ALTER TABLE users_new ALTER COLUMN revision DROP NOT NULL"),
    ("drift", "CREATE INDEX stray ON users (revision)"),
    (
        "foreign_keys_valid",
        (
            "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey, ADD CONSTRAINT sessions_user_id_fkey"
            " FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID"
        ),
    ),
)


@pytest.mark.trigger_only("tests/logical/test_logical.py does the same to the publication")
@pytest.mark.parametrize("statement", ["DROP TRIGGER swap_capture ON users", "ALTER TABLE users ENABLE TRIGGER swap_capture"])
def test_a_capture_trigger_that_is_off(verified: Verified, statement: LiteralString) -> None:
    """H38."""
    test_named_checks(verified, "capture_installed", statement)


@pytest.mark.parametrize(("check", "statement"), CHECKS)
def test_named_checks(verified: Verified, check: str, statement: LiteralString) -> None:
    """H38, H31: tables that are equal row by row may still be unfit."""
    verified.owner.execute(statement)
    report = verified()
    assert check in failed(report)
    assert report.verdict == "different"
    assert verified.run().verified is None


@pytest.mark.trigger_only("with logical replication nothing calls that function")
def test_an_altered_capture_function(verified: Verified) -> None:
    (name,) = verified.owner.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE proname LIKE '%capture_forward'"
    ).fetchone() or ("",)
    (body,) = verified.owner.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name]).fetchone() or ("",)
    verified.owner.execute(sql.SQL(body.replace("RETURN NULL", "RETURN NEW")))
    report = verified()
    assert failed(report) == {"capture_installed"}


@pytest.mark.parametrize("setting", ["SECURITY INVOKER", "RESET search_path", "SET row_security = on"])
def test_a_guard_function_with_other_settings(verified: Verified, setting: LiteralString) -> None:
    name = in_state_schema(verified, "%guard_forward")
    verified.owner.execute(sql.SQL("ALTER FUNCTION {} {}").format(name, sql.SQL(setting)))
    assert failed(verified()) == {"capture_installed"}


def test_functions_of_another_version_are_not_called_altered(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an upgrade of swap during a run: each function is compared with the digest from when it was made."""
    ours = load_sql("swap.ddl", "guard_source.sql")
    newer = sql.SQL(ours.as_string(None).replace("BEGIN", "BEGIN /* said otherwise */", 1))
    monkeypatch.setattr("swap.ddl.guards.load_sql", lambda p, n: newer if n == "guard_source.sql" else load_sql(p, n))
    assert verified().verdict == "identical"
    name = in_state_schema(verified, "%guard_forward")
    verified.owner.execute(sql.SQL("COMMENT ON FUNCTION {} IS NULL").format(name))
    assert failed(verified()) == {"capture_installed"}


def test_a_function_without_a_digest_is_compared_with_this_version(verified: Verified) -> None:
    """Given a run that was prepared before digests were recorded."""
    name = in_state_schema(verified, "%guard_forward")
    verified.owner.execute(sql.SQL("COMMENT ON FUNCTION {} IS NULL").format(name))
    assert verified().verdict == "identical"


def in_state_schema(verified: Verified, like: str) -> sql.SQL:
    (name,) = verified.owner.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE proname LIKE %s", [like]
    ).fetchone() or ("",)
    return sql.SQL(name)


@pytest.mark.parametrize("grant", ["INSERT ON users_new TO app", "UPDATE (bio) ON users_new TO PUBLIC"])
def test_no_other_role_may_write_to_the_shadow(verified: Verified, grant: LiteralString) -> None:
    """H38."""
    verified.owner.execute(sql.SQL("GRANT ") + sql.SQL(grant))
    report = verified()
    assert "no_direct_writer" in failed(report)
    assert report.verdict == "different"


def test_another_session_writes_to_the_shadow(verified: Verified, connect: Connect) -> None:
    """H38: the lock of the session shows it, although the row that it wrote is not visible yet."""
    writer = connect(verified.db.owner)
    writer.execute("BEGIN; UPDATE users_new SET bio = 'wrong' WHERE id = 11")
    report = verified()
    assert failed(report) == {"no_direct_writer"}
    assert not report.findings
    writer.execute("ROLLBACK")
    assert verified().verdict == "identical"


def test_an_invalid_index(verified: Verified, connect: Connect) -> None:
    connect(verified.db.superuser).execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'index_sessions_on_user_id'::regclass"
    )
    assert "indexes_valid" in failed(verified())


@by_both
@pytest.mark.parametrize("table", ["users", "users_new"])
@pytest.mark.parametrize(
    ("change", "detail"), [("DROP COLUMN revision", "has no column revision"), ("ALTER COLUMN revision TYPE bigint", "bigint")]
)
def test_columns_that_cannot_be_compared(
    verified: Verified, method: Method, table: LiteralString, change: LiteralString, detail: str
) -> None:
    verified.owner.execute(sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table)) + sql.SQL(change))
    report = verified(method)
    assert report.verdict == "incomplete"
    assert "structure" in failed(report)
    assert detail in reason(report)


def test_repair_goes_through_replay(verified: Verified) -> None:
    """I7: a verification that repaired needs another clean one."""
    verified.owner.execute("DELETE FROM users_new WHERE id = 10")
    verified.owner.execute("UPDATE users_new SET bio = 'wrong' WHERE id = 11")
    verified.owner.execute("INSERT INTO users_new (id, organization_id, email) VALUES (50, 1, 'x@example.com')")
    report = verified()
    assert report.verdict == "different"
    with verified.migration() as migration:
        assert repair(migration, report) == Repaired(keys=3, references=0)
        assert verified.owner.execute("SELECT repaired FROM swap.verification").fetchall() == [(True,)]
    assert verified.owner.execute("SELECT count(*) FROM users_new WHERE bio = 'wrong'").fetchone() == (1,)
    verified.op("sync", "--once")
    assert verified().verdict == "identical"


def test_row_security_is_an_error_not_a_shorter_result(verified: Verified) -> None:
    """H16: FORCE ROW LEVEL SECURITY would hide rows on both sides alike."""
    verified.owner.execute("ALTER TABLE users FORCE ROW LEVEL SECURITY; ALTER TABLE users_new FORCE ROW LEVEL SECURITY")
    report = verified()
    assert report.verdict == "incomplete"
    assert "row-level security" in reason(report)


def test_the_report_is_plain_data(verified: Verified) -> None:
    """The journal keeps it as it is."""
    report = verified("checksum")
    (stored,) = verified.owner.execute("SELECT report FROM swap.verification").fetchone() or (None,)
    assert stored == report.to_json()


def test_an_exchange_between_rows_never_cancels_out(verified: Verified) -> None:
    """HAZARDS, Verification: two rows exchange their payloads. With one seed for all rows 675 of these 1000 pairs of sums were
    equal (measured)."""
    value = sql.Identifier("payload")
    plain_text = next(c for c in verified.run().plan.source_table.columns if c.name == "bio")
    total = sql.SQL("SELECT sum({}) FROM (VALUES (n, {}), (n + 1000, {})) v(key, payload)")
    hashed = row_hash(sql.Identifier("key"), [plain_text], [value])
    first, second = sql.SQL("md5(n::text)"), sql.SQL("md5((-n)::text)")
    with verified.session() as conn:
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM generate_series(1, 1000) n WHERE ({}) = ({})").format(
                total.format(hashed, first, second), total.format(hashed, second, first)
            )
        ).fetchone()
    assert row == (0,)
