"""HAZARDS, section Verification: both methods catch each difference that is planted in the shadow, in the retired table, in a
reference or in the mapping, and name its table, key, kind and columns."""

from __future__ import annotations

import pytest
from psycopg import sql

from swap.plan.direction import Direction
from swap.plan.model import RefColumns
from tests.support.verification import Planted
from tests.support.verifying import METHODS, Verified, failed, plain, without_triggers
from tests.verify.cases import CASES, REFERENCES, Case, ReferenceCase
from verify.changed_keys import compare_keys
from verify.repair import Repaired, repair
from verify.report import Method, Report

pytestmark = pytest.mark.sampled(3)

USERS = "public.users"
by_both = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several key ranges, although the tables are small."""
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 40)


def named(cases: tuple[Case, ...], side: str) -> list[object]:
    return [pytest.param(c, id=c.name) for c in cases if c.side in ("both", side)]


@pytest.mark.parametrize("case", named(CASES, "shadow"))
def test_planted_in_the_shadow(verified: Verified, planted: Planted, case: Case) -> None:
    caught(verified, planted, case, "shadow")
    assert verified.run().verified is None


@pytest.mark.parametrize("case", named(CASES, "retired"))
def test_planted_in_the_retired_table(verified_after: Verified, planted: Planted, case: Case) -> None:
    caught(verified_after, planted, case, "retired")


def caught(verified: Verified, planted: Planted, case: Case, side: str) -> None:
    verified.owner.execute(case.on("users_new" if side == "shadow" else "users_old"))
    expected = [(USERS, *f) for f in case.found]
    reports: dict[Method, Report] = {method: verified(method) for method in METHODS}
    for method, report in reports.items():
        as_expected = plain(report) == expected if case.found else exchanged(report)
        planted(method, as_expected and report.verdict == "different")
        assert as_expected, (method, plain(report))
        assert report.verdict == "different", (method, report)
        assert sum(t.differences for t in report.tables) == len(report.findings)
    assert digests_differ(verified, reports["checksum"])
    if case.name == "one uuid for two rows":
        assert "mapping_one_to_one" in failed(reports["exact"])
    with verified.session() as conn:
        keys = [k for k, _, _ in case.found] + [1, 2, 3, -5]
        found = compare_keys(conn, verified.mapping(), keys)
        if case.found:
            assert [(f.key, f.kind, f.columns) for f in found] == list(case.found)


def exchanged(report: Report) -> bool:
    return {(f.key, f.kind) for f in report.findings} == {(24, "different"), (27, "different")}


def digests_differ(verified: Verified, report: Report) -> bool:
    """Whether the digests of both sides differ: then the checksum method saw the difference, and the exact one named it."""
    row = verified.owner.execute(
        "SELECT count(*) FROM swap.range_digest a JOIN swap.range_digest b USING (verification_id, number)"
        " WHERE verification_id = %s AND a.part < b.part AND (a.rows, a.digest) <> (b.rows, b.digest)",
        [report.id],
    ).fetchone()
    return row is not None and row[0] > 0


@by_both
@pytest.mark.parametrize("case", REFERENCES, ids=lambda c: c.name)
def test_planted_in_a_reference(verified: Verified, planted: Planted, method: Method, case: ReferenceCase) -> None:
    """H19."""
    caught_in_reference(verified, planted, method, case)


@by_both
@pytest.mark.parametrize("case", REFERENCES, ids=lambda c: c.name)
def test_planted_in_a_reference_after_the_cutover(
    verified_after: Verified, planted: Planted, method: Method, case: ReferenceCase
) -> None:
    caught_in_reference(verified_after, planted, method, case)


def caught_in_reference(verified: Verified, planted: Planted, method: Method, case: ReferenceCase) -> None:
    ref = next(r.columns for r in verified.run().plan.references if r.table.name == case.table)
    names = columns(verified, ref)
    without_triggers(verified, case.table, filled(case.sql, names))
    keys = verified.owner.execute(filled(case.keys, names)).fetchall()
    report = verified(method)
    expected = [(f"public.{case.table}", key, "mapping", (names["int"], names["uuid"])) for (key,) in keys]
    planted(method, plain(report) == expected)
    assert plain(report) == expected
    assert report.verdict == "different"
    assert failed(report) == {"references_resolve"}
    with verified.migration() as migration:
        # After the cutover the uuid leads: one that belongs to no row says nothing, and the integer contradicts it.
        contradicts = case.name == "a uuid of no user" and migration.direction is Direction.REVERSE
        assert repair(migration, report) == Repaired(keys=0, references=0 if contradicts else len(keys))
        assert migration.journal.verifications.last(migration.run.id).repaired is not contradicts  # type: ignore[union-attr]
    again = verified(method)
    assert failed(again) == ({"references_resolve"} if contradicts else set())


def columns(verified: Verified, ref: RefColumns) -> dict[str, str]:
    plan = verified.run().plan
    forward = verified.run().direction is Direction.FORWARD
    live = {"live_int": plan.key, "live_uuid": plan.identity} if forward else {"live_int": plan.legacy_key, "live_uuid": plan.key}
    if forward or ref.companion:
        return {"int": ref.column, "uuid": ref.uuid_column, **live}
    return {"int": ref.legacy_column, "uuid": ref.column, **live}


def filled(text: str, names: dict[str, str]) -> sql.Composed:
    return sql.SQL(text).format(**{k: sql.Identifier(v) for k, v in names.items()})


@by_both
def test_an_own_reference_after_the_cutover(verified_after: Verified, method: Method) -> None:
    """The integer beside the uuid is there for the application: the way back computes it from the uuid, so a wrong one is none of the
    differences."""
    statement = sql.SQL("UPDATE users SET invited_by_legacy_id = 4 WHERE legacy_id = 23 AND invited_by_legacy_id <> 4")
    without_triggers(verified_after, "users", statement)
    assert {f.columns for f in verified_after(method).findings} <= {("updated_at",)}  # which a trigger of the application's sets


MAPPING = ("one uuid for two rows", "two uuids exchanged", "a row without a uuid")


@by_both
@pytest.mark.parametrize("what", MAPPING)
def test_planted_in_the_mapping(verified: Verified, planted: Planted, method: Method, what: str) -> None:
    """In the source itself, where capture does not see it: the shadow and the references still hold the right values."""
    in_the_mapping(verified, planted, method, what, ("id", "uuid_id"))


@by_both
@pytest.mark.parametrize("what", MAPPING)
def test_planted_in_the_mapping_after_the_cutover(verified_after: Verified, planted: Planted, method: Method, what: str) -> None:
    in_the_mapping(verified_after, planted, method, what, ("legacy_id", "id"))


def in_the_mapping(verified: Verified, planted: Planted, method: Method, what: str, keys: tuple[str, str]) -> None:
    relax = (
        "DO $$ DECLARE n text; BEGIN"
        " FOR n IN SELECT conname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = ANY (conkey)"
        "  WHERE conrelid = 'users'::regclass AND contype IN ('p', 'u') AND attname = {name}"
        " LOOP EXECUTE format('ALTER TABLE users DROP CONSTRAINT %I CASCADE', n); END LOOP;"
        " FOR n IN SELECT indexrelid::regclass FROM pg_index i JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = ANY (indkey)"
        "  WHERE indrelid = 'users'::regclass AND indisunique AND attname = {name} LOOP EXECUTE format('DROP INDEX %s CASCADE', n); END LOOP;"
        " END $$; ALTER TABLE users ALTER COLUMN {u} DROP NOT NULL;"
    )
    change = {
        "one uuid for two rows": "UPDATE users SET {u} = (SELECT {u} FROM users WHERE {i} = 24) WHERE {i} = 27",
        "two uuids exchanged": "UPDATE users a SET {u} = b.{u} FROM users b WHERE (a.{i}, b.{i}) IN ((24, 27), (27, 24))",
        "a row without a uuid": "UPDATE users SET {u} = NULL WHERE {i} = 27",
    }[what]
    integer, uuid = keys
    statement = sql.SQL(relax + change).format(i=sql.Identifier(integer), u=sql.Identifier(uuid), name=sql.Literal(uuid))
    without_triggers(verified, "users", statement)
    report = verified(method)
    named = {f.key for f in report.findings if (f.table, f.kind) == (USERS, "different") and "uuid_id" in f.columns}
    exchange = what == "two uuids exchanged"
    ambiguous = (
        what == "one uuid for two rows" and uuid == "id"
    )  # after the cutover uuids are looked up, and this one gives two integers
    wanted = {27, 24} if exchange else set() if ambiguous else {27}
    right = named == wanted and ("mapping_one_to_one" in failed(report)) != exchange
    planted(method, right)
    assert right, (plain(report), failed(report))
    assert ambiguous or "references_resolve" in failed(report)
    assert report.verdict == ("incomplete" if ambiguous else "different")
