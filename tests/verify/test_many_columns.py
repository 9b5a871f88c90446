"""Verifications that could not finish or mend (H68): many columns, expressions that fail, references."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.support.migration import Driver, install
from tests.support.servers import Database
from tests.support.verifying import METHODS
from verify.repair import repair
from verify.report import Method, Report
from verify.run import verify
from verify.settings import VerificationSettings


def execute(database: Database, statements: str) -> list[tuple[Any, ...]]:
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        cursor = conn.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


def verified(m: Driver, method: Method) -> Report:
    m.reload()
    return verify(m, VerificationSettings(method=method, jobs=1))


@pytest.mark.slow
def test_a_table_of_a_thousand_columns(database: Database) -> None:
    """H68: a join of both sides has more columns than a target list may have; each difference is named all the same."""
    columns = ", ".join(f"c{n} int DEFAULT {n}" for n in range(1200))
    install(
        database, f"CREATE TABLE users (id bigserial PRIMARY KEY, {columns}); INSERT INTO users (c0) VALUES (1), (2), (3), (4)"
    )
    patient = {"max_lock_hold_ms": 60_000}  # on a machine that does other things
    with closing(Driver.begin(database, cutover=patient)) as m:
        m.synced()
        assert {verified(m, method).verdict for method in METHODS} == {"identical"}
        execute(database, "UPDATE users_new SET c3 = 0, c1199 = 0 WHERE id = 2; DELETE FROM users_new WHERE id = 3")
        execute(database, "UPDATE users_new SET c900 = NULL WHERE id = 4")
        for method in METHODS:
            report = verified(m, method)
            assert report.verdict == "different"
            found = [(f.key, f.kind, f.columns) for f in report.findings]
            assert found == [(2, "different", ("c3", "c1199")), (3, "missing", ()), (4, "different", ("c900",))]
        assert repair(m, report).keys == 3
        m.sync()
        assert {verified(m, method).verdict for method in METHODS} == {"identical"}
        execute(database, "UPDATE users SET c1100 = 5 WHERE id = 1")
        assert m.exchange("cutover").outcome == "committed"


VIRTUAL = """
CREATE TABLE users (id bigserial PRIMARY KEY, n int, share int GENERATED ALWAYS AS (100 / n) VIRTUAL, twice bigint GENERATED ALWAYS AS (id * 2) VIRTUAL);
INSERT INTO users (n) SELECT n FROM generate_series(1, 40) n;
UPDATE users SET n = 0 WHERE id IN (7, 31);
"""


@pytest.mark.parametrize("method", ["exact", "checksum"])
def test_a_virtual_column_that_fails_is_named(database: Database, method: Method) -> None:
    """H68: the row cannot be read whole by anybody, before the cutover and after it. Nothing else is left uncompared."""
    with closing(psycopg.connect(database.superuser)) as conn:
        if conn.info.server_version < 180000:
            pytest.skip("VIRTUAL columns come with 18")
    install(database, VIRTUAL)
    with closing(Driver.begin(database)) as m:
        m.synced()
        report = verified(m, method)
        assert report.verdict == "identical"
        said = {c.name: (c.status, c.detail) for c in report.checks}["virtual_columns"]
        rows = [f"public.users.share of the row with the key {key}: division by zero" for key in (7, 31)]
        assert said == ("warning", "; ".join(rows))
        execute(database, "UPDATE users_new SET n = 5 WHERE id = 9; UPDATE users SET n = 0 WHERE id = 12")
        m.sync()
        report = verified(m, method)
        assert [(f.key, f.columns) for f in report.findings] == [(9, ("n",))]
        execute(database, "UPDATE users SET n = 5 WHERE id = 9")
        m.sync()
        assert verified(m, method).verdict == "identical"
        assert m.exchange("cutover").outcome == "committed"
        assert execute(database, "SELECT twice FROM users WHERE legacy_id = 3") == [(6,)]
        report = verified(m, method)
        assert report.verdict == "identical"
        assert "public.users.share of the row with the key 12: division by zero" in str(report.checks)
