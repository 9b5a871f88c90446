"""Pure parts: names, snapshots, meters, configuration errors, statements."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from swap.cli.output import duration
from swap.cli.progress import Meter
from swap.core.config import load_config
from swap.core.connection import judged
from swap.core.errors import ExitCode, UsageError
from swap.core.names import MAX_BYTES, TableName, derive, parse_table, quote, with_part
from swap.core.snapshot import Snapshot
from swap.core.statement import BLOCKS, Kind, Statement, Verb, script, undo_all

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=80)
identifiers = names.filter(lambda n: len(n.encode()) <= MAX_BYTES)


def test_sql_is_ascii() -> None:
    """H18: the server refuses a character that its database's encoding does not have, in a comment too."""
    for path in Path(__file__).parents[2].glob("*/**/*.sql"):
        if path.parts[-2] != "fixtures" and "tests" not in path.parts and "demo" not in path.parts:
            assert path.read_text(encoding="utf-8").isascii(), path


# Names.


@given(names, st.sampled_from(["_new", "_old", "_key", "_pkey"]))
def test_derived_names_fit_and_keep_their_suffix(name: str, suffix: str) -> None:
    made = derive(name, suffix)
    assert len(made.encode()) <= MAX_BYTES
    assert made.endswith(suffix)
    assert made == derive(name, suffix)
    if len((name + suffix).encode()) <= MAX_BYTES:
        assert made == name + suffix


def test_long_names_with_the_same_beginning_stay_apart() -> None:
    stem = "index_users_on_organization_id_and_lower_email_where_deleted_at"
    assert len(stem) == 63
    made = {derive(stem[:-1] + last, "_new") for last in "abcdef"}
    assert len(made) == 6


def test_a_character_is_never_split() -> None:
    for n in range(50, 70):
        made = derive("é" * n, "_new")
        assert made.encode().decode() == made
        assert len(made.encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("user_id", "user_uuid_id"),
        ("author", "author_uuid"),
        ("_id", "_id_uuid"),
        ("created_by_user_id", "created_by_user_uuid_id"),
    ],
)
def test_the_default_names_of_reference_columns(column: str, expected: str) -> None:
    assert with_part(column, "uuid") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users", ("public", "users")),
        ("app.users", ("app", "users")),
        ('"My App"."us.ers"', ("My App", "us.ers")),
        ('app."with ""quotes"""', ("app", 'with "quotes"')),
        ("sch\u00e9ma.\u7528\u6237", ("sch\u00e9ma", "\u7528\u6237")),
        ('"Users"', ("public", "Users")),
    ],
)
def test_table_names_are_read_as_sql_writes_them(text: str, expected: tuple[str, str]) -> None:
    assert parse_table(text) == TableName(*expected)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a.b.c", '"open', 'a."open', '""', 'a"b', '"a"b', " users", "public. users", '"a"."b".']
)
def test_what_is_no_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a table name"):
        parse_table(text)


@given(identifiers, identifiers)
def test_a_quoted_name_reads_back(schema: str, name: str) -> None:
    written = ".".join('"' + n.replace('"', '""') + '"' for n in (schema, name))
    assert parse_table(written) == TableName(schema, name)


@pytest.mark.parametrize(
    ("name", "written"), [("users", "users"), ("Users", '"Users"'), ("1st", '"1st"'), ('a"b', '"a""b"'), ("a b", '"a b"')]
)
def test_names_are_quoted_where_they_must_be(name: str, written: str) -> None:
    assert quote(name) == written
    assert parse_table(f"{written}.{written}") == TableName(name, name)


# Snapshots (H8).

ids = st.integers(3, 60)
snapshots = st.builds(lambda xmax, xip: Snapshot(xmax, tuple(sorted(x for x in xip if x < xmax))), ids, st.sets(ids))


@given(snapshots)
def test_a_snapshot_reads_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot
    assert snapshot.xmin <= snapshot.xmax
    assert all(snapshot.sees(x) for x in range(3, snapshot.xmin))


@given(snapshots, ids, ids)
def test_a_bounded_snapshot_sees_what_the_whole_one_sees_below_the_bound(snapshot: Snapshot, bound: int, xid: int) -> None:
    """H8: and sees nothing at the bound or above it. A transaction that was in progress stays invisible."""
    bounded = snapshot.bounded(bound)
    assert bounded.sees(xid) == (snapshot.sees(xid) and xid < bound)
    assert snapshot.bounded(snapshot.xmax + 1) == snapshot


def test_snapshots_in_the_servers_own_form() -> None:
    """PostgreSQL's documentation, "Snapshot Components"."""
    snapshot = Snapshot.parse("10:20:10,14,15")
    assert [x for x in range(8, 22) if snapshot.sees(x)] == [8, 9, 11, 12, 13, 16, 17, 18, 19]
    assert str(snapshot) == "10:20:10,14,15"
    assert str(Snapshot.parse("795:795:")) == "795:795:"
    assert Snapshot.parse("4294967300:4294967300:").xmax == 2**32 + 4


# Meters.


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.one_of(st.none(), st.integers(0, 10**9)), st.floats(0, 10**6))
def test_a_meter_never_says_more_than_it_knows(first: int, more: int, total: int | None, elapsed: float) -> None:
    meter = Meter(0.0, first, first + more, total)
    percent, rate, eta = meter.percent(), meter.rate(elapsed), meter.eta_s(elapsed)
    assert percent is None or 0 <= percent <= 100
    assert (percent is None) == (not total)
    if elapsed < 1 or more == 0:
        assert rate is None
    assert eta is None or (eta > 0 and rate is not None and total is not None and first + more < total)
    line = meter.line("users", elapsed)
    assert line.startswith("users: ")
    assert ("left" in line) == (eta is not None)


def test_a_meter_counts_what_this_process_did() -> None:
    """Rows of a resumed part that an earlier process copied do not count for the rate."""
    meter = Meter(100.0, 5_000, 6_000, 10_000)
    assert meter.rate(110.0) == 100
    assert meter.eta_s(110.0) == 40
    assert meter.line("users", 110.0) == "users: 6,000 of ~10,000 rows (60 %), 100/s, about 40 s left"


def test_an_estimate_that_was_too_low_moves_with_the_rows() -> None:
    assert Meter(0.0, 0, 1_200, 1_000).line("users", 10.0) == "users: 1,200 rows (100 %), 120/s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# Configuration errors.

GOOD = '[source]\ntable = "public.users"\n'


def explained(tmp_path: Path, text: str) -> str:
    path = tmp_path / "swap.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(path)
    assert raised.value.exit_code is ExitCode.USAGE
    assert raised.value.state == "Nothing was changed."
    return raised.value.message.replace(str(path), "swap.toml")


@pytest.mark.parametrize(
    ("text", "line", "key", "allowed"),
    [
        (GOOD + "[sync]\njob = 2\n", 4, "sync.job", ["chunk_target_ms", "jobs", "max_replica_lag_bytes", "mode"]),
        (GOOD + "[snyc]\njobs = 2\n", 3, "snyc", ["source", "sync", "hooks"]),
        ("# first\n\n" + GOOD + "\nkee = 'id'\n", 6, "source.kee", ["key", "table"]),
        (GOOD + "[sync]\njobs = '2'\n", 4, "sync.jobs", ["integer"]),
        (GOOD + "[sync]\njobs = 0\n", 4, "sync.jobs", ["greater than or equal to 1"]),
        (GOOD + "[sync]\njobs = true\n", 4, "sync.jobs", ["integer"]),
        (GOOD + "[sync]\n\n# how\nmode = 'magic'\n", 6, "sync.mode", ["'trigger'", "'logical'"]),
        (GOOD + "[cutover]\nkill_blockers = 'some'\n", 4, "cutover.kill_blockers", ["never", "idle-in-transaction", "all"]),
        (GOOD + "[identity]\ngenerate = 'uuidv1'\n", 4, "identity.generate", ["uuidv4", "uuidv7"]),
        (GOOD + "[names]\nshadow = '{table}'\n", 4, "names.shadow", ["{table}"]),
        (GOOD + "[names]\nretired = '{schema}_x'\n", 4, "names.retired", ["{table}"]),
        (GOOD + "[hooks]\npre_swap_snapshot = []\n", 4, "hooks.pre_swap_snapshot", ["at least 1"]),
        (GOOD + f"[identity]\ncolumn = '{'x' * 64}'\n", 4, "identity.column", ["63 bytes"]),
        ("[source]\ntable = 'a.b.c'\n", 2, "source.table", ["schema.table"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n\n[[reference]]\ntable = 'c'\ncolumn = 'd'\nwhen = 'x'\n",
         10, "reference.1.when", ["where", "uuid_column", "legacy_column"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n[[reference]]\ntable = 'a'\ncolumn = 7\n", 8, "reference.1.column", ["string"]),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, key: str, allowed: list[str]
) -> None:
    said = explained(tmp_path, text)
    assert said.startswith(f"swap.toml, line {line}: "), said
    assert key in said, said
    for word in allowed:
        assert word in said, said


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "the key source is missing" in explained(tmp_path, "[sync]\njobs = 2\n")
    assert "source.table is missing" in explained(tmp_path, "[source]\nkey = 'id'\n")
    said = explained(tmp_path, GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n[[reference]]\ntable = 'c'\n")
    assert "reference.1.column is missing" in said


def test_what_is_no_toml_and_what_is_no_file(tmp_path: Path) -> None:
    assert "not valid TOML" in explained(tmp_path, "[source\n")
    assert "line 3" in explained(tmp_path, GOOD + "x = = 1\n")
    with pytest.raises(UsageError, match="No configuration file"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(UsageError, match="Cannot read"):
        load_config(tmp_path / "latin.toml")
    with pytest.raises(UsageError, match="Cannot read"):
        load_config(tmp_path)


# Statements.


def statement(n: int) -> Statement:
    return Statement(
        sql.SQL("CREATE TABLE {}").format(sql.Identifier(f"t{n}")), f"step {n}", TableName("public", f"t{n}"), "ACCESS EXCLUSIVE",
        sql.SQL("DROP TABLE {}").format(sql.Identifier(f"t{n}")), kind=Kind.TABLE, verb=Verb.CREATE,
    )  # fmt: skip


def test_undo_goes_back_in_reverse_order_and_twice_is_where_it_was() -> None:
    steps = [statement(n) for n in range(4)]
    back = undo_all(steps)
    assert [s.text for s in back] == [f'DROP TABLE "t{n}"' for n in (3, 2, 1, 0)]
    again = undo_all(back)
    assert [(s.text, s.table, s.lock, s.transactional) for s in again] == [
        (s.text, s.table, s.lock, s.transactional) for s in steps
    ]


def test_what_has_no_way_back_says_so() -> None:
    with pytest.raises(ValueError, match="no way back for: SELECT 1"):
        undo_all([Statement(sql.SQL("SELECT 1"), "reads", kind=Kind.LOCK)])


def test_every_lock_says_what_it_blocks() -> None:
    assert statement(1).blocks == "everything, SELECT too"
    assert all(BLOCKS.values())
    assert script([statement(1), statement(2)]).as_string(None) == 'CREATE TABLE "t1";\nCREATE TABLE "t2"'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.UndefinedFunction, True),
        (psycopg.errors.UniqueViolation, True),
        (psycopg.errors.AdminShutdown, False),
        (psycopg.errors.CrashShutdown, False),
        (psycopg.errors.QueryCanceled, False),
        (psycopg.errors.LockNotAvailable, False),
        (psycopg.errors.DeadlockDetected, False),
        (psycopg.errors.DiskFull, False),
        (psycopg.OperationalError, False),
    ],
)
def test_a_lost_session_says_nothing_about_a_statement(error: type[psycopg.Error], expected: bool) -> None:
    """H37: when the server goes away while `prepare` tries an index over uuids, it does not report the index as unusable."""
    assert judged(error()) is expected
