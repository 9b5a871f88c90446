"""Several swapped tables, by keys of every kind: each is compared with the references computed anew, and named by its own key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import pytest
from psycopg import sql

from swap.core.snapshot import Snapshot
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from swap.state.migration import Migration
from tests.support.swapped import TABLES, MakeTables, Tables
from tests.support.verifying import METHODS, failed, plain, reason, status_of
from verify.change_comparison import ChangeComparison, compare_changes
from verify.continuous import ContinuousSettings, ContinuousVerification
from verify.metrics import Metrics
from verify.repair import repair
from verify.report import Method
from verify.settings import VerificationSettings

pytestmark = pytest.mark.sampled(2)

by_both = pytest.mark.parametrize("method", METHODS)
by_source = pytest.mark.parametrize("existing", ["derived", "adopted", "column"])
both_ways = pytest.mark.parametrize("after", [False, True], ids=["forward", "reverse"])

DEVICE = "00000000-0000-4000-8000-000000000007"
POST = 's 7,"x'


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 40)


@by_both
@by_source
@both_ways
def test_no_difference(tables: MakeTables, method: Method, existing: str, after: bool) -> None:
    """One result for each swapped table, in the plan's order, then the references in place."""
    t = tables(existing, after=after)
    report = t.verify(method)
    assert report.verdict == "identical", report
    assert (report.findings, failed(report)) == ((), set())
    assert [x.name for x in report.tables] == TABLES
    assert [x.rows for x in report.tables[:5]] == [90, 60, 60, 90, 90]
    assert {(r.table, r.low is None) for r in report.ranges} >= {(name, True) for name in TABLES}
    document = report.evidence()
    assert {r["table"] for r in document["ranges"]} == set(TABLES)
    if method == "checksum":
        digests = t.owner.execute(
            "SELECT count(DISTINCT part), count(*) FROM swap.range_digest WHERE verification_id = %s", [report.id]
        ).fetchone()
        assert digests == (10, 2 * len(report.ranges))


@dataclass(frozen=True)
class Planted:
    """`forward`, `reverse`: the statement on the maintained side, where the two are not the same."""

    table: str
    key: int | str
    kind: str
    columns: tuple[str, ...]
    forward: str
    reverse: str | None = None
    reverse_columns: tuple[str, ...] | None = None

    def of(self, *, after: bool) -> tuple[str, int | str, str, tuple[str, ...]]:
        columns = self.reverse_columns if after and self.reverse_columns is not None else self.columns
        return f"public.{self.table}", self.key, self.kind, columns


PLANTED = [
    Planted(
        "users", 8, "different", ("boss_uuid",),
        "UPDATE {users} SET boss_uuid = (SELECT boss_uuid FROM {users} WHERE id = 9) WHERE id = 8",
        "UPDATE {users} SET boss = 8 WHERE id = 8", ("boss",),
    ),
    Planted("badges", "gold,8", "different", ("title",), "UPDATE {badges} SET title = 'T' WHERE (kind, number) = ('gold', 8)"),
    Planted("badges", "tin,8", "extra", (), "CREATE TEMPORARY TABLE b AS SELECT * FROM {badges} WHERE number = 8; UPDATE b SET kind = 'tin'; INSERT INTO {badges} SELECT * FROM b"),
    Planted("devices", DEVICE, "missing", (), f"DELETE FROM {{devices}} WHERE id = '{DEVICE}'"),
    Planted(
        "posts", POST, "different", ("editor_uuid_id",),
        f"UPDATE {{posts}} SET editor_uuid_id = user_uuid_id WHERE slug = '{POST}'",
        f"UPDATE {{posts}} SET editor_id = 77 WHERE slug = '{POST}'", ("editor_id",),
    ),
    Planted(
        "sessions", 7, "different", ("user_uuid_id",),
        "UPDATE {sessions} SET user_uuid_id = (SELECT user_uuid_id FROM {sessions} WHERE id = 8) WHERE id = 7",
        "UPDATE {sessions} SET user_id = 8 WHERE id = 7", ("user_id",),
    ),
    Planted("sessions", 9, "missing", (), "DELETE FROM {sessions} WHERE id = 9"),
]  # fmt: skip


@by_both
@by_source
@both_ways
def test_differences_of_every_table(tables: MakeTables, method: Method, existing: str, after: bool) -> None:
    """Each is named by table, key and column; `--repair` queues the keys, whatever they are, and replay makes the rows equal."""
    t = tables(existing, after=after)
    for p in PLANTED:
        t.run(p.reverse if after and p.reverse else p.forward)
    report = t.verify(method)
    assert report.verdict == "different", report
    assert plain(report) == [p.of(after=after) for p in PLANTED]
    assert {x.name: x.differences for x in report.tables[:5]} == dict(zip(TABLES, (1, 2, 1, 1, 2), strict=True))
    assert {f["key"] for f in report.to_json()["findings"]} == {p.key for p in PLANTED}
    assert repair(t.m, report).keys == len(PLANTED)
    t.m.sync()
    assert t.verify(method).verdict == "identical"


@by_both
@both_ways
def test_keys_that_share_a_hash(tables: MakeTables, monkeypatch: pytest.MonkeyPatch, method: Method, after: bool) -> None:
    """Rows of two keys with one hash are never paired; when one of them is pending, neither is compared."""

    def number(d: TableMapping, columns: list[sql.Composable]) -> sql.Composable:
        return columns[0] if d.integer_key else sql.SQL("(hash_record_extended(ROW({})::record, 0) & 3)").format(
            row_keys.COMMA.join(columns)
        )  # fmt: skip

    monkeypatch.setattr(row_keys, "number", number)
    t = tables(after=after)
    assert t.verify(method).verdict == "identical"
    t.owner.execute("UPDATE posts SET title = 'new' WHERE slug = 's 1,\"x'")
    report = t.verify(method)
    assert report.verdict == "identical", report
    posts = report.tables[3]
    assert posts.pending == 1
    assert 40 < posts.rows < 89
    keys = "SELECT slug FROM posts p WHERE hash_record_extended(ROW(p.slug)::record, 0) & 3 <> hash_record_extended(ROW('s 1,\"x'::text)::record, 0) & 3"
    (other,) = t.owner.execute(f"{keys} ORDER BY 1 LIMIT 1".encode()).fetchone() or ("",)
    t.run(f"UPDATE {{posts}} SET title = 'wrong' WHERE slug = '{other}'")
    assert plain(t.verify(method)) == [("public.posts", other, "different", ("title",))]


@by_both
@both_ways
def test_pending_keys_of_every_table(tables: MakeTables, method: Method, after: bool) -> None:
    """They are left out on both sides and counted, and hide no other difference."""
    t = tables(after=after)
    t.owner.execute("UPDATE badges SET title = 'new' WHERE kind = 'gold'")
    t.owner.execute("DELETE FROM devices WHERE id = %s", [DEVICE])
    t.owner.execute("UPDATE posts SET slug = 'moved' WHERE slug = %s", [POST])
    t.owner.execute("UPDATE sessions SET note = 'new' WHERE id < 11")
    report = t.verify(method)
    assert report.verdict == "identical", report
    assert [(x.rows, x.pending) for x in report.tables[:5]] == [(90, 0), (30, 30), (59, 1), (89, 2), (80, 10)]
    t.run("UPDATE {badges} SET title = 'wrong' WHERE number IN (1, 2)")
    assert plain(t.verify(method)) == [("public.badges", "tin,1", "different", ("title",))]
    t.m.sync()
    report = t.verify(method)
    assert plain(report) == [("public.badges", "tin,1", "different", ("title",))]
    assert [x.pending for x in report.tables[:5]] == [0, 0, 0, 0, 0]


NEW_UUID = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
DELETE FROM users WHERE id = 90; INSERT INTO users (id, email) VALUES (90, 'again');
COMMIT
"""


@by_both
@pytest.mark.parametrize("existing", ["adopted", "column"])
def test_rows_that_refer_to_a_pending_row(tables: MakeTables, method: Method, existing: str) -> None:
    """I3, before the cutover: a row of the source comes back with another uuid, and what refers to it has not changed itself. Until
    the replay has been there, these rows are pending, and nothing else in them may differ."""
    t = tables(existing)
    t.owner.execute("INSERT INTO badges VALUES ('gold', 190, 90, 't'), ('gold', 191, 90, 't'), ('gold', 192, 90, 't')")
    t.owner.execute("INSERT INTO posts VALUES ('both', 90, 1, 't')")
    t.m.sync()
    t.owner.execute("UPDATE posts SET editor_id = 90, user_id = 1 WHERE slug = 'both'")
    t.m.sync()
    t.owner.execute(NEW_UUID.encode())
    report = t.verify(method)
    assert report.verdict == "identical", report
    badges = report.tables[1]
    assert (badges.rows, badges.pending) == (63, 3)
    with t.m.database.session("test") as conn:
        since = t.m.watermark()
        compared = compare_changes(t.m.on(conn), since, {1: {("gold", "190")}})
        assert compared.differences == ()
        assert compared.again == {1: {("gold", "190")}}

    t.run("UPDATE {badges} SET title = 'wrong' WHERE number = 191")
    t.run("UPDATE {posts} SET user_uuid_id = editor_uuid_id WHERE slug = 'both'")
    assert plain(t.verify(method)) == [
        ("public.badges", "gold,191", "different", ("title", "user_uuid_id")),
        ("public.posts", "both", "different", ("editor_uuid_id", "user_uuid_id")),
    ]
    t.m.sync()
    report = t.verify(method)
    assert report.verdict == "identical", report
    assert [x.pending for x in report.tables[:5]] == [0, 0, 0, 0, 0]


ANOTHER_INTEGER = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
CREATE TEMPORARY TABLE gone ON COMMIT DROP AS SELECT id, email FROM users WHERE legacy_id = 90;
DELETE FROM users WHERE legacy_id = 90; INSERT INTO users (id, email) SELECT id, 'again' FROM gone;
COMMIT
"""


@by_both
@by_source
def test_rows_that_refer_to_a_pending_row_after_the_cutover(tables: MakeTables, method: Method, existing: str) -> None:
    """I3: a uuid belongs to a row with another integer now."""
    t = tables(existing)
    t.owner.execute("INSERT INTO badges VALUES ('gold', 190, 90, 't'), ('gold', 191, 90, 't')")
    t.m.sync()
    assert t.m.verify().verdict == "identical"
    t.m.exchange("cutover")
    after = Tables(t.m, t.owner, "_old")
    t.owner.execute(ANOTHER_INTEGER.encode())
    report = after.verify(method)
    assert report.verdict == "identical", report
    assert (report.tables[1].rows, report.tables[1].pending) == (62, 2)
    after.run("UPDATE {badges} SET title = 'wrong' WHERE number = 191")
    assert plain(after.verify(method)) == [("public.badges", "gold,191", "different", ("user_id", "title"))]
    after.run("UPDATE {badges} SET title = 't' WHERE number = 191")
    t.m.sync()
    report = after.verify(method)
    assert report.verdict == "identical", report
    assert [x.pending for x in report.tables[:5]] == [0, 0, 0, 0, 0]


def test_a_queued_truncate_of_any_table(tables: MakeTables) -> None:
    """H6."""
    t = tables()
    t.owner.execute("TRUNCATE posts")
    report = t.verify("checksum")
    assert report.verdict == "incomplete"
    assert "TRUNCATE is queued" in reason(report)
    t.m.sync()
    report = t.verify("checksum")
    assert report.verdict == "identical"
    assert status_of(report, "rows") == "warning"
    assert [c.detail for c in report.checks if c.name == "rows"] == [
        "public.posts and public.posts_new are both empty: there was nothing to compare"
    ]


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("ALTER TABLE posts DISABLE TRIGGER swap_capture", "capture_installed"),
        ("ALTER TABLE posts_new ADD COLUMN more text", "structure"),
        ("GRANT UPDATE ON sessions_new TO app", "no_direct_writer"),
    ],
)
@pytest.mark.trigger_only("it is about the triggers")
def test_checks_look_at_every_table(tables: MakeTables, statement: LiteralString, check: str) -> None:
    t = tables()
    t.owner.execute(statement)
    report = t.verify("checksum")
    assert report.verdict == "different"
    assert check in failed(report)


def test_a_table_that_cannot_be_compared_does_not_stop_the_others(tables: MakeTables) -> None:
    t = tables()
    t.owner.execute("ALTER TABLE posts_new DROP COLUMN title")
    t.run("UPDATE {sessions} SET note = 'wrong' WHERE id = 5")
    report = t.verify("checksum")
    assert report.verdict == "incomplete"
    assert "public.posts_new has no column title" in reason(report)
    assert plain(report) == [("public.sessions", 5, "different", ("note",))]


def test_a_continuous_verification_looks_at_every_table(tables: MakeTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two full passes: a wrong row of a table with a text key closes the gate, and is compared again until it is equal. Then
    a full pass opens the gate again (I7)."""
    t = tables()

    def change() -> None:
        t.owner.execute("UPDATE posts SET title = 'new' WHERE slug = %s", [POST])
        t.m.deliver()

    def title(text: str) -> None:
        t.run(f"UPDATE {{posts}} SET title = '{text}' WHERE slug = '{POST}'")

    def replay_and_spoil() -> None:
        t.m.sync()
        title("wrong")

    steps = [change, replay_and_spoil, lambda: None, lambda: title("new"), t.m.stop.set]
    seen: list[tuple[int, int, list[int | str]]] = []

    def stepwise(m: Migration, since: Snapshot, *more: Any) -> ChangeComparison:
        steps[len(seen)]()
        compared = compare_changes(m, since, *more)
        seen.append((compared.compared, compared.pending, [d.shown for d in compared.differences]))
        return compared

    monkeypatch.setattr("verify.continuous.compare_changes", stepwise)
    metrics = Metrics("public.users")
    settings = ContinuousSettings(0.0, 3600.0, VerificationSettings("checksum", 2))
    done = ContinuousVerification(t.m, settings, metrics).run()
    assert seen[:4] == [(0, 1, []), (1, 0, [POST]), (1, 0, [POST]), (1, 0, [])]
    assert (done.passes, done.differences) == (2, 0)
    verdicts = t.owner.execute("SELECT verdict, report->'findings'->0->>'key' FROM swap.verification ORDER BY id").fetchall()
    assert verdicts == [("identical", None), ("different", POST), ("identical", None)]
    t.m.stop.clear()
    assert t.m.exchange("cutover").outcome == "committed"
