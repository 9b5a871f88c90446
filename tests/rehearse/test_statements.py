"""Statements planned on both shapes, by the server."""

from __future__ import annotations

import psycopg

from swap.rehearse.statements import compare, explain
from tests.support.servers import Database

STATEMENTS = [
    "SELECT * FROM t WHERE n = $1", "SELECT max(id) FROM t", "UPDATE t SET n = $2 WHERE id = $1", "SELECT * FROM nothing WHERE id = $1",
    "INSERT INTO t (id, n) VALUES ($1, $2)",
]  # fmt: skip
SCHEMA = """
CREATE TABLE t (id bigint PRIMARY KEY, n bigint);
INSERT INTO t SELECT g, g FROM generate_series(1, 3000) g;
CREATE INDEX t_n ON t (n); ANALYZE t
"""


def test_worse_and_failing(database: Database) -> None:
    """An index is lost and the key is a uuid; and nothing is executed."""
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute(SCHEMA)
        before = explain(database.superuser, STATEMENTS)
        conn.execute(
            "DROP INDEX t_n; ALTER TABLE t DROP id; ALTER TABLE t ADD id text PRIMARY KEY DEFAULT gen_random_uuid(); ANALYZE t"
        )
        after = explain(database.superuser, STATEMENTS)
        rows = {s: compare(s, before[s], after[s], "id") for s in STATEMENTS}
        assert conn.execute("SELECT count(*), count(n) FROM t").fetchone() == (3000, 3000)
    assert [rows[s]["verdict"] for s in STATEMENTS] == ["worse", "same", "same", "not comparable", "same"]
    worse = rows[STATEMENTS[0]]
    assert worse["before"]["nodes"] == ["Index Scan on t"]
    assert worse["after"]["nodes"] == ["Seq Scan on t"]
    assert worse["after"]["cost"] > 2 * worse["before"]["cost"]
    assert "nothing" in rows[STATEMENTS[3]]["before"]["error"]
