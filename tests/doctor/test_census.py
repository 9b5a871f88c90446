"""The code knows everything that the catalog can say about the tables (I10): dependencies at run time, columns here.

Every case of `tests/fixtures` that is not refused shows that the claims are complete: `doctor` runs the census on it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.doctor.census import CLAIMS, claimed
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from tests.doctor.census_columns import CLAIMS as COLUMNS
from tests.support.migration import install
from tests.support.mode import with_mode
from tests.support.servers import Connect, Database, DatabaseServer

SQL = Path(__file__).resolve().parents[2] / "swap" / "catalog"
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users);
"""


@pytest.mark.parametrize("catalog", COLUMNS)
def test_every_catalog_column_is_claimed(connect: Connect, server: DatabaseServer, catalog: str) -> None:
    """Fails on a version of PostgreSQL with a column that is not in the list."""
    conn = connect(server.conninfo())
    there = {
        name
        for (name,) in conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [f"pg_catalog.{catalog}"],
        )
    }
    names = [name for group in COLUMNS[catalog] for name in group.split()]
    assert len(names) == len(set(names)), "a column is claimed twice"
    assert there - set(names) == set()


def test_what_is_claimed_as_read_is_read() -> None:
    """Each file names the columns that the list says it reads, and a query calls each function that the list says prints."""
    text = {p.name: p.read_text(encoding="utf-8") for p in SQL.glob("*.sql")}
    everything = "\n".join(text.values())
    for catalog, groups in COLUMNS.items():
        for group, how in groups.items():
            if how.startswith("read in "):
                file = how.removeprefix("read in ")
                for name in group.split():
                    assert re.search(rf"\b{name}\b", text[file]), f"{catalog}.{name} is not in {file}"
            elif how.startswith("printed by "):
                assert f"{how.removeprefix('printed by ')}(" in everything, how
            else:
                assert how.startswith("- "), how


def census(db: Database) -> list[Finding]:
    with Conninfo.from_options(db.owner, "test").session() as conn:
        findings = examine(conn, Config.model_validate({"source": {"table": "public.users"}, **with_mode({})}))
    return [f for f in findings if f.name == "census"]


def test_an_unknown_dependency_stops_everything(database: Database, connect: Connect) -> None:
    """No rule knows a language that depends on a table. PostgreSQL has no such dependency."""
    install(database, SCHEMA)
    (found,) = census(database)
    assert found.status == "ok"
    connect(database.superuser).execute(
        "INSERT INTO pg_depend SELECT 'pg_language'::regclass, l.oid, 0, 'pg_class'::regclass, 'users'::regclass, 0, 'n'"
        " FROM pg_language l WHERE l.lanname = 'plpgsql'"
    )
    (found,) = census(database)
    assert (found.status, found.object) == ("blocker", "language plpgsql")
    assert "table public.users" in found.detail
    assert not found.acceptable


def test_without_its_claim_a_foreign_key_is_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLAIMS decides: without the claims to constraints, all constraints are unclaimed."""
    install(database, SCHEMA)
    monkeypatch.setattr("swap.doctor.census.CLAIMS", tuple(c for c in CLAIMS if "pg_constraint" not in c.dependents))
    assert any("foreign key" in f.object or "constraint" in f.object for f in census(database))


def test_every_claim_says_by_whom() -> None:
    assert all(c.by and c.deptypes and c.dependents and c.referenced for c in CLAIMS)
    assert claimed("in", "pg_language", "n", "pg_class/r") is None
