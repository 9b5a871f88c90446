"""H56: columns and expressions that remember the source by its oid, its row type or its name."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from swap.core.sql_text import verbatim
from swap.doctor.examine import Finding
from tests.support.cycling import Start, doctor
from tests.support.migration import install
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 5) n;
CREATE TABLE other (id bigserial PRIMARY KEY);
CREATE DOMAIN relation AS regclass;
CREATE TABLE acl (rel regclass, row_id text);
INSERT INTO acl SELECT 'users'::regclass, id::text FROM users;
INSERT INTO acl VALUES ('other'::regclass, '1');
"""
COLUMNS = {
    "oid": ("relid oid", "'users'::regclass::oid", "by its oid in 2 rows"),
    "domain": ("rel relation", "'users'::regclass", "by its oid in 2 rows"),
    "array": ("rels regclass[]", "ARRAY['other', 'users']::regclass[]", "by its oid in 2 rows"),
    "row type": ("what regtype", "'users'::regtype", "by its oid in 2 rows"),
    "oid as text": ("record_type text", "'users'::regclass::oid::text", "by its oid in 2 rows"),
    "oid as a number": ("relid bigint", "'users'::regclass::oid::bigint", "by its oid in 2 rows"),
    "name": ("table_name text", "'users'", "holds the name of public.users in 2 rows"),
    "qualified": ("object_class varchar(50)", "'public.users'", "holds the name of public.users in 2 rows"),
    "type name": ("relation name", "'users'::name", "holds the name of public.users in 2 rows"),
}


def mentions(db: Database, **config: object) -> dict[str, Finding]:
    return {f.object: f for f in doctor(db, **config) if f.name == "table-mention"}


@pytest.mark.parametrize("column", COLUMNS)
def test_what_holds_the_table_is_counted(database: Database, column: str) -> None:
    """By each type, and not what holds another table; `ignore` silences it."""
    definition, value, said = COLUMNS[column]
    install(database, SCHEMA + f"DROP TABLE acl; CREATE TABLE notes ({definition}, n int)")
    assert [f.status for f in mentions(database).values()] == ["ok"]
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute(verbatim(f"INSERT INTO notes VALUES ({value}, 1), ({value}, 2), (NULL, 3)"))
        conn.execute(verbatim(f"INSERT INTO notes SELECT {value.replace('users', 'other')}, 4"))
    assert len(mentions(database)) == 1
    name = definition.split()[0]
    (found,) = mentions(database).values()
    assert (found.status, found.object) == ("warning", f"public.notes.{name}")
    assert said in found.detail
    assert [f.status for f in mentions(database, ignore=[f"public.notes.{name}"]).values()] == ["ok"]


def test_a_view_that_is_made_again_is_counted(database: Database) -> None:
    install(
        database,
        SCHEMA + "CREATE VIEW emails AS SELECT id FROM users; UPDATE acl SET rel = 'emails'::regclass WHERE row_id = '2'",
    )
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute("DELETE FROM acl WHERE rel = 'users'::regclass")
    (found,) = mentions(database).values()
    assert "holds public.emails by its oid in 1 rows: after the cutover they mean the view that is set aside" in found.detail


def test_the_statement_of_the_hint_mends_it(start: Start, database: Database, connect: Connect) -> None:
    """Given the rows mean the retired table after the cutover, then the statement of the hint brings them to the live one."""
    cycle = start(SCHEMA)
    (found,) = [f for f in cycle.findings if f.name == "table-mention"]
    assert "public.users by its oid in 5 rows: after the cutover they mean public.users_old" in found.detail
    cycle.ready()
    cycle.cutover()
    owner = connect(database.owner)
    count = "SELECT count(*) FROM acl WHERE rel = 'users'::regclass"
    assert owner.execute(verbatim(count)).fetchone() == (0,)
    owner.execute(verbatim(found.hint.partition("After the cutover: ")[2].partition(";")[0]))
    assert owner.execute(verbatim(count)).fetchone() == (5,)


EXPRESSIONS = """
CREATE TABLE users (id bigserial PRIMARY KEY, me regclass DEFAULT 'users'::regclass);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, rel regclass DEFAULT 'users'::regclass);
CREATE TABLE acl (rel regclass DEFAULT 'users'::regclass, n int, CONSTRAINT mine CHECK (rel <> 'users'::regclass OR n > 0));
CREATE INDEX of_users ON acl (n) WHERE rel = 'users'::regclass;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted AFTER INSERT ON acl FOR EACH ROW WHEN (NEW.rel = 'users'::regclass) EXECUTE FUNCTION nothing();
CREATE TRIGGER kept AFTER INSERT ON sessions FOR EACH ROW WHEN (NEW.rel = 'users'::regclass) EXECUTE FUNCTION nothing();
CREATE VIEW kept AS SELECT n FROM acl WHERE rel = 'users'::regclass;
ALTER TABLE acl ENABLE ROW LEVEL SECURITY;
CREATE POLICY kept ON acl TO app USING (rel = 'users'::regclass) WITH CHECK (true);
"""
HELD = {
    "constraint mine on table acl",
    "default value for column me of table users",
    "default value for column rel of table acl",
    "default value for column rel of table sessions",
    "index of_users",
    "trigger noted on table acl",
}


def test_an_expression_that_holds_the_table_is_refused_by_name(start: Start, database: Database, connect: Connect) -> None:
    """I10: it would go on meaning the retired table. Given the defaults ask for the name, and the others are gone, then what is left
    means the live table, in both directions."""
    install(database, EXPRESSIONS)
    owner, app = connect(database.owner), connect(database.app)
    found = {o.replace("public.", ""): f for o, f in mentions(database).items() if f.status == "blocker"}
    assert set(found) == HELD
    for name, finding in found.items():
        if name.startswith("default"):
            _, _, _, _, column, _, _, table = name.split()
            said = finding.hint.partition("Say ")[2].partition(" in its place")[0]
            owner.execute(verbatim(f"ALTER TABLE {table} ALTER {column} SET DEFAULT {said}"))
    owner.execute("ALTER TABLE acl DROP CONSTRAINT mine; DROP INDEX of_users; DROP TRIGGER noted ON acl")
    assert {f.status for f in mentions(database).values()} == {"ok"}

    def alive() -> None:
        app.execute("INSERT INTO acl (n) VALUES (1)")
        assert app.execute("SELECT count(*) > 0, bool_and(rel::text = 'users') FROM acl").fetchone() == (True, True)
        assert app.execute("SELECT count(*) > 0 FROM kept").fetchone() == (True,)
        owner.execute("DELETE FROM acl")

    cycle = start("SELECT")
    cycle.ready()
    alive()
    cycle.cutover()
    alive()
    cycle.revert()
    alive()
