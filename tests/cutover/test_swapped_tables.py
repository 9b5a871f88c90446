"""Gates, exchange, restored capture and finalize look at every swapped table, by whatever its key is."""

from __future__ import annotations

import pytest

from cutover.final_drain import Uncompared, compare_touched, touched
from cutover.finalize_checks import check_finalize, legacy_dependents
from cutover.gates import _indexes, check_gates
from cutover.obstacles import holders
from cutover.restore_capture import capture_faults, restore_capture
from swap.core.errors import DifferenceError, RefusedError
from tests.support.servers import Connect, Database
from tests.support.swapped import MakeTables, Tables
from verify.change_comparison import compare_changes


def gate(t: Tables) -> None:
    t.m.reload()
    check_gates(t.m)


def refused(t: Tables, match: str) -> str:
    with pytest.raises(RefusedError, match=match) as raised:
        gate(t)
    return raised.value.hint


def verified(t: Tables) -> None:
    report = t.verify("checksum")
    assert report.verdict == "identical", report


@pytest.mark.trigger_only("it is about the triggers")
def test_each_gate_looks_at_every_table(tables: MakeTables, database: Database, connect: Connect) -> None:
    """H38: capture of a table by its text key, an index and the statistics of its shadow."""
    t = tables()
    verified(t)
    gate(t)
    t.owner.execute("ALTER TABLE posts DISABLE TRIGGER swap_capture_moved")
    assert "`swap prepare`" in refused(t, "public.posts: trigger swap_capture_moved is not ENABLE ALWAYS")
    t.owner.execute("ALTER TABLE posts ENABLE ALWAYS TRIGGER swap_capture_moved")
    assert "compares every row" in refused(t, "public.posts: trigger swap_capture_moved")
    verified(t)
    gate(t)
    admin = connect(database.superuser)
    shadow = "(SELECT indexrelid FROM pg_index WHERE indrelid = 'devices_new'::regclass LIMIT 1)"
    admin.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = {shadow}".encode())
    with pytest.raises(RefusedError, match="is missing or invalid"):
        _indexes(t.m.conn, t.m.run)
    admin.execute(f"UPDATE pg_index SET indisvalid = true WHERE indexrelid = {shadow}".encode())
    admin.execute("UPDATE pg_class SET reltuples = -1 WHERE oid = 'badges_new'::regclass")
    refused(t, "public.badges_new has no statistics")
    admin.execute("ANALYZE badges_new")
    gate(t)
    reader = connect(database.superuser, autocommit=False)
    reader.execute("SELECT FROM sessions_new")
    assert [h.who.pid for h in holders(t.m.conn, t.m.plan)] == [reader.info.backend_pid]


@pytest.mark.parametrize("after", [False, True], ids=["forward", "reverse"])
def test_touched_keys_of_every_table(tables: MakeTables, after: bool) -> None:
    """A key that was touched after the verification is compared, whatever the table and its key are; nothing is changed."""
    t = tables(after=after)
    verified(t)
    kind = "revert" if after else "cutover"
    t.owner.execute("UPDATE badges SET title = 'new' WHERE (kind, number) = ('gold', 8)")
    t.owner.execute("UPDATE posts SET title = 'new' WHERE slug = 's 5,\"x'")
    t.m.sync()
    t.run("UPDATE {badges} SET title = 'wrong' WHERE (kind, number) = ('gold', 8)")
    with pytest.raises(DifferenceError, match=rf"1 keys .* the first is gold,8 \(different in public.badges{t.suffix}\)"):
        t.m.exchange(kind)
    t.run("UPDATE {badges} SET title = 'new' WHERE (kind, number) = ('gold', 8)")
    outcome = t.m.exchange(kind)
    assert (outcome.outcome, outcome.compared_keys) == ("committed", 0)
    t.m.sync()
    assert t.m.verify().verdict == "identical"


@pytest.mark.parametrize("existing", ["adopted", "column"])
def test_references_to_a_touched_row(tables: MakeTables, existing: str) -> None:
    """DESIGN 8.3: what refers to a touched row of the source is compared too, though it has not changed: with a foreign key or
    without, and from the source itself."""
    t = tables(existing)
    verified(t)
    for table, key in (("badges", "tin,7"), ("users", "8"), ("sessions", "7")):
        column = "boss_uuid" if table == "users" else "user_uuid_id"
        where = "(kind, number) = ('tin', 7)" if table == "badges" else f"id = {key}"
        t.run(f"CREATE TABLE kept AS SELECT {column} AS u FROM {{{table}}} WHERE {where}")
        t.run(f"UPDATE {{{table}}} SET {column} = (SELECT uuid_id FROM {{users}} WHERE id = 70) WHERE {where}")
        t.owner.execute("UPDATE users SET email = email || '!' WHERE id = 7")
        t.m.sync()
        with pytest.raises(DifferenceError, match=rf"the first is {key} \(different in public.{table}_new\)"):
            t.m.exchange("cutover")
        t.run(f"UPDATE {{{table}}} SET {column} = (SELECT u FROM kept) WHERE {where}; DROP TABLE kept")
    assert t.m.exchange("cutover").outcome == "committed"


@pytest.mark.parametrize("existing", ["derived", "adopted", "column"])
def test_references_to_a_touched_row_after_the_cutover(tables: MakeTables, existing: str) -> None:
    t = tables(existing, after=True)
    t.owner.execute("INSERT INTO posts (slug, editor_id, title) SELECT 'late', id, 't' FROM users WHERE legacy_id = 8")
    t.m.sync()
    verified(t)
    t.run("UPDATE {badges} SET user_id = 70 WHERE number = 7")
    t.owner.execute("UPDATE users SET email = email || '!' WHERE legacy_id = 7")
    t.m.sync()
    with pytest.raises(DifferenceError, match=r"the first is tin,7 \(different in public.badges_old\)"):
        t.m.exchange("revert")
    t.run("UPDATE {badges} SET user_id = 7 WHERE number = 7")
    t.run("UPDATE {posts} SET editor_id = NULL WHERE slug = 'late'")  # as if it had never been resolved
    t.owner.execute("UPDATE users SET email = email || '!' WHERE legacy_id = 8")
    t.m.sync()
    with pytest.raises(DifferenceError, match=r"the first is late \(different in public.posts_old\)"):
        t.m.exchange("revert")
    t.run("UPDATE {posts} SET editor_id = 8 WHERE slug = 'late'")
    assert t.m.exchange("revert").outcome == "committed"


def test_nothing_refers_anew_where_uuids_are_derived(tables: MakeTables) -> None:
    """Before the cutover a uuid never changes: a row that changes often, and has a million references, costs nothing more."""
    t = tables()
    verified(t)
    t.run("UPDATE {badges} SET user_uuid_id = gen_random_uuid() WHERE number = 7")
    t.owner.execute("UPDATE users SET email = email || '!' WHERE id = 7")
    t.m.sync()
    assert t.m.exchange("cutover").outcome == "committed"


CHANGED = "UPDATE users SET email = email || '!' WHERE id IN (5, 6, 90); INSERT INTO users (email) VALUES ('late')"
ANOTHER = """
BEGIN; SET CONSTRAINTS ALL DEFERRED;
DELETE FROM users WHERE id = 90; INSERT INTO users (id, email) VALUES (90, 'again');
COMMIT
"""


@pytest.mark.parametrize("existing", ["derived", "adopted"])
def test_under_the_lock_only_references_to_another_uuid(tables: MakeTables, existing: str) -> None:
    """Of what changed since the last drain: a row that keeps its uuid changes no reference."""
    t = tables(existing)
    t.owner.execute("INSERT INTO badges VALUES ('gold', 190, 90, 't')")
    t.m.sync()
    todo = Uncompared(t.m.watermark())
    t.owner.execute(CHANGED.encode())
    t.m.deliver()
    found = touched(t.m, todo)
    assert (found.keys[0], found.with_another_uuid) == ({5, 6, 90, 91}, ())
    t.owner.execute(ANOTHER.encode())
    t.m.deliver()
    found = touched(t.m, todo)
    assert found.with_another_uuid == (() if existing == "derived" else (90,))
    t.m.sync()
    assert compare_touched(t.m, found) == 5
    t.run("UPDATE {badges} SET user_uuid_id = (SELECT user_uuid_id FROM {sessions} WHERE id = 1) WHERE number = 190")
    if existing == "derived":
        assert compare_touched(t.m, found) == 5
        return
    with pytest.raises(DifferenceError, match="the first is gold,190"):
        compare_touched(t.m, found)


def test_a_row_that_referred_to_a_pending_row_is_compared_again(tables: MakeTables) -> None:
    """Given a row that could not be judged in the last comparison without a lock, then it is compared under the lock."""
    t = tables("adopted")
    t.owner.execute("INSERT INTO badges VALUES ('gold', 190, 90, 't')")
    t.m.sync()
    since = t.m.watermark()
    t.owner.execute("UPDATE badges SET title = 'new' WHERE number = 190")
    t.m.sync()
    t.owner.execute(ANOTHER.encode())
    t.m.deliver()
    compared = compare_changes(t.m, since)
    assert (compared.differences, compared.again) == ((), {1: {("gold", "190")}})
    todo = Uncompared(compared.watermark, compared.again)
    assert touched(t.m, todo).keys[1] == {("gold", "190")}


@pytest.mark.trigger_only("it is about the triggers")
@pytest.mark.parametrize("after", [False, True], ids=["forward", "reverse"])
def test_capture_of_a_table_is_put_back(tables: MakeTables, after: bool) -> None:
    """H38: what was missed is queued, by text keys too."""
    t = tables(after=after)
    verified(t)
    t.owner.execute("ALTER TABLE posts DISABLE TRIGGER swap_capture; DROP TRIGGER swap_capture_deleted ON badges")
    t.owner.execute("UPDATE posts SET title = 'missed' WHERE slug < 's 2'; DELETE FROM badges WHERE kind = 'gold'")
    t.m.reload()
    assert "public.badges: trigger swap_capture_deleted is missing" in (capture_faults(t.m) or "")
    restore_capture(t.m)
    assert capture_faults(t.m) is None
    t.m.sync()
    verified(t)
    assert t.m.exchange("revert" if after else "cutover").outcome == "committed"


def test_rows_that_wait_refuse_an_exchange(tables: MakeTables) -> None:
    """I8: a row that the new table cannot hold would be lost."""
    t = tables("adopted")
    t.owner.execute("INSERT INTO badges VALUES ('gold', 500, 12345, 't')")
    t.m.sync()
    report = t.verify("checksum")
    assert (report.verdict, report.tables[1].rows, report.tables[1].pending) == ("identical", 60, 1)
    assert "insert the rows" in refused(t, r"1 of public.badges \(gold,500\)")
    t.owner.execute("INSERT INTO users (id, email) VALUES (12345, 'found')")
    t.m.sync()
    gate(t)
    assert t.m.exchange("cutover").outcome == "committed"


def test_finalize_looks_at_every_table(tables: MakeTables) -> None:
    """H45."""
    t = tables(after=True)
    t.owner.execute("CREATE VIEW seen AS SELECT token FROM sessions_old")
    with pytest.raises(RefusedError, match=r"public\.sessions_old is still used by: rule _RETURN on view public\.seen") as raised:
        check_finalize(t.m, drop_legacy=False, compat=True)
    assert "public.sessions" in raised.value.hint
    t.owner.execute("DROP VIEW seen; CREATE VIEW legacy AS SELECT user_legacy_id FROM posts")
    check_finalize(t.m, drop_legacy=False, compat=True)
    assert legacy_dependents(t.m.conn, t.m.plan) == ["public.posts.user_legacy_id: view public.legacy"]
    t.owner.execute("DROP VIEW legacy")
    t.m.finalize(drop_legacy=True)
    left = t.owner.execute(
        "SELECT relname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname ~ 'legacy'"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND (relname ~ '_(old|new)$' OR a.attname IS NOT NULL)"
    ).fetchall()
    assert left == []
