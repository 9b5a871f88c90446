"""A hint can be followed to the letter (I13): its statements run, its entries are taken, and the finding is gone then."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.fixes import fixes, script, statements
from swap.doctor.follow import with_following
from swap.doctor.trial.build import trial_findings
from swap.doctor.undo import undo_of
from tests.support.commands import Cli
from tests.support.fixture_run import FixtureRun, cases
from tests.support.hints import entries
from tests.support.servers import Database, DatabaseServer

REFUSED = [c for c in cases() if c.text("refused.txt") is not None]
FOLLOWED = {"refused_sentinels", "refused_trigger_torn", "refused_erp_sentinels", "refused_reference_default"}
"""The cases whose hints are followed in every run. SWAP_HINTS=all: those of all."""
CHOSEN = [c for c in REFUSED if c.name in FOLLOWED or os.environ.get("SWAP_HINTS") == "all"]


PROSE = [
    ("ALTER TABLE t ALTER a DROP NOT NULL;", [("ALTER TABLE t ALTER a DROP NOT NULL;", "")]),
    ("Give the functions a search_path (ALTER FUNCTION, SET search_path), or DROP INDEX public.x;", [("DROP INDEX public.x;", "")]),
    ('GRANT a TO b; or ALTER TABLE "a;b" OWNER TO b;', [("GRANT a TO b;", ""), ('ALTER TABLE "a;b" OWNER TO b;', "or")]),
    ("After the cutover: UPDATE public.t SET a = 'b;'::regclass;", [("UPDATE public.t SET a = 'b;'::regclass;", "later")]),
    ('DROP INDEX a.i; and create it again. Or add to the configuration\n[[index]]\ndefinition = "DROP TABLE a.b;"', [("DROP INDEX a.i;", "")]),
    ("UPDATE OF or WHEN), to be bound; SELECT the rows; ", []),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "found"), PROSE)
def test_the_statements_of_a_hint(hint: str, found: list[tuple[str, str]]) -> None:
    """Whole statements, and which of them are not the one to run; no prose, and nothing of an entry."""
    assert statements(hint) == found


def test_the_script() -> None:
    """Rights first, then what hangs on objects, then objects; a warning's statement, and a second way, are comments; the undo is last first."""
    found = [
        Finding("index", "blocker", "public.i", "is bad", "DROP INDEX public.i; and create it again."),
        Finding("ownership", "blocker", "public.t", "belongs to x", "GRANT x TO y; or ALTER TABLE public.t OWNER TO y;"),
        Finding("ownership", "blocker", "public.s", "belongs to x", "GRANT x TO y;"),
        Finding("senders", "warning", "x", "is slow", "SELECT pg_terminate_backend(7);"),
        Finding("names", "blocker", "public.n", "is taken", "Rename it."),
    ]
    lines = script(fixes(found, "public.t"), {"GRANT x TO y;": "REVOKE x FROM y;"}, found)
    assert [x for x in lines if x and not x.startswith("--")] == ["GRANT x TO y;", "DROP INDEX public.i;"]
    text = "\n".join(lines)
    assert "-- ownership:public.t: belongs to x\n-- ownership:public.s: belongs to x\nGRANT x TO y;" in text
    assert "-- If you want to: SELECT pg_terminate_backend(7);" in text
    assert "-- Or: ALTER TABLE public.t OWNER TO y;" in text
    assert "names:public.n" in text
    assert text.endswith("-- (nothing takes this back: DROP INDEX public.i;)\n-- REVOKE x FROM y;")
    assert {f.label: f.follows for f in with_following(found) if f.follows} == {"ownership:public.s": "ownership:public.t"}


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.name)
def test_no_hint_leaves_a_gap(case: Any) -> None:
    """No ellipsis, no placeholder; and every entry is one that the configuration takes."""
    text = case.text("refused.txt")
    assert "…" not in text
    for hint in re.split(r"\n(?=\S+:)", text):
        Config.model_validate({"source": {"table": "public.users"}, **entries(hint)})


@pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
def test_what_a_hint_says_mends_the_finding(case: Any, database: Database, server: DatabaseServer, tmp_path: Path) -> None:
    """Each entry is taken, and there is one finding fewer of that label. The statements of `doctor --fix-sql` run in their order, the
    findings that they name are gone then, and their undo leaves the schema as it was.
    The second of two ways ends the finding too, by itself."""
    made = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if made.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    made.install()
    document = tomllib.loads(case.text("swap.toml") or "")
    with closing(_session(database.owner)) as conn:
        found = _blockers(conn, document)
        labels = Counter(f.label for f in found)
        for finding in found:
            if more := entries(finding.hint):
                merged = {**document, **{k: [*document.get(k, []), *v] for k, v in more.items()}}
                left = Counter(f.label for f in _blockers(conn, merged))
                assert left[finding.label] < labels[finding.label], finding
        mends = fixes(found, document["source"]["table"])
        undo = undo_of(conn, [f.sql for f in mends])
        before = made.dump()
    for fix in (f for f in mends if f.offered == "or"):
        left = _left_after(database, fix.sql, document)
        assert {x for x in fix.findings if left[x] >= labels[x]} == set(), fix
    with closing(psycopg.connect(database.superuser, autocommit=True)) as superuser:
        for fix in (f for f in mends if not f.offered):
            superuser.execute(fix.sql.encode())
    with closing(_session(database.owner)) as conn:
        left = Counter(f.label for f in _blockers(conn, document))
    ran = [f for f in mends if not f.offered]
    assert {x for f in ran for x in f.findings if left[x] >= labels[x]} <= STILL.get(case.name, set())
    with closing(psycopg.connect(database.superuser, autocommit=True)) as superuser:
        for fix in reversed(ran):
            if fix.sql in undo:
                superuser.execute(undo[fix.sql].encode())
    if ran and all(f.sql in undo and " NO INHERIT " not in f.sql for f in ran):  # the child's columns are its own then
        assert sorted(made.dump().splitlines()) == sorted(before.splitlines())


STILL: dict[str, set[str]] = {}
"""Findings that have more than a statement as their remedy."""


def _left_after(database: Database, statement: str, document: dict[str, Any]) -> Counter[str]:
    """The labels of the blockers that are left in a copy of the database in which the statement has run."""
    name = sql.Identifier(f"{database.dbname}_or")
    with closing(psycopg.connect(database.superuser, dbname="postgres", autocommit=True)) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(database.dbname)))
        try:
            admin.execute(sql.SQL("GRANT ALL ON DATABASE {} TO swap_owner").format(name))
            with closing(psycopg.connect(database.superuser, dbname=f"{database.dbname}_or", autocommit=True)) as superuser:
                superuser.execute(statement.encode())
            with closing(_session(make_conninfo(database.owner, dbname=f"{database.dbname}_or"))) as conn:
                return Counter(f.label for f in _blockers(conn, document))
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _session(conninfo: str) -> Connection:
    return Conninfo.from_options(conninfo, "hints").connect()


def _blockers(conn: Any, document: dict[str, Any]) -> list[Finding]:
    return [f for f in examine(conn, Config.model_validate(document), trial=trial_findings) if f.status == "blocker"]


def test_on_the_command_line(cli: Cli, database: Database, server: DatabaseServer, tmp_path: Path) -> None:
    """What follows is folded under what it follows from, and `--fix-sql` prints the script alone; no look-alike is hidden by the
    blocker of the identity column."""
    case = next(c for c in REFUSED if c.name == "refused_undeclared_join")
    made = FixtureRun(case, database, server, tmp_path / "swap.toml")
    made.install()
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute("ALTER TABLE users ADD uuid_id text; CREATE UNIQUE INDEX bad ON users (abs(id)) WHERE id > 3")
        conn.execute("ALTER TABLE visits SET UNLOGGED")
    result = cli("doctor", dsn=database.owner, config=made.config, check=False)
    flat = " ".join(result.stdout.split())
    assert (
        "2 more follow from this one, or go with the same remedy: trial:public.last_visitors, trial:public.first_visitors" in flat
    )
    assert "blocker trial public.first_visitors" not in flat
    assert "and 2 that follow, the first is" in " ".join(result.stderr.split())
    rows = {
        f"{c['name']}:{c['object']}": c
        for c in cli("doctor", "--json", dsn=database.owner, config=made.config, check=False).json["checks"]
    }
    assert rows["identity:public.users.uuid_id"]["status"] == "blocker"
    assert rows["trial:public.last_visitors"]["follows"] == "trial:public.visitors"
    assert rows["look-alike:public.visits.user_id"]["status"] == "warning"
    config = made.config.read_text(encoding="utf-8") + '[[reference]]\ntable = "public.visits"\ncolumn = "user_id"\n'
    made.config.write_text(config, encoding="utf-8")
    result = cli("doctor", "--fix-sql", dsn=database.owner, config=made.config, check=False)
    assert result.code == 3
    assert "ALTER TABLE public.visits SET LOGGED;" in result.stdout.splitlines()
    assert "-- ALTER TABLE public.visits SET UNLOGGED;" in result.stdout.splitlines()
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute(result.stdout.encode())
    fixes_left = cli("doctor", "--fix-sql", "--json", dsn=database.owner, config=made.config, check=False).json["fixes"]
    assert [f for f in fixes_left if f["offered"] is None and "SET LOGGED" in f["sql"]] == []
