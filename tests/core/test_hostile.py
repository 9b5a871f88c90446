"""Names and configuration values are never spliced into SQL (I10): one that would end a literal, a comment, a dollar quote or a format
string is a name like any other, at every place. And no password is printed."""

from __future__ import annotations

import pytest

from swap.core.errors import UsageError
from tests.support.cycling import doctor
from tests.support.migration import install
from tests.support.mode import Mode
from tests.support.servers import Connect, Database
from tests.support.whole import MakeWhole, Whole

# Text that breaks each layer: identifiers, literals, dollar quotes, comments, psycopg's parameters, fields of sql.SQL.
EVIL = """"'; DROP TABLE t; -- %s %(a)s {{}} {{0}} $swap$ $$ \\\n{}"""

PLAIN = EVIL.replace("{{}} {{0}} ", "").removesuffix("{}")  # other braces in a pattern of names are a usage error


def evil(what: str) -> str:
    name = EVIL.format(what)
    assert len(name.encode()) <= 60, len(name.encode())
    return name


def q(what: str) -> str:
    """The evil name of `what`, as an identifier."""
    return '"' + evil(what).replace('"', '""') + '"'


ROLES = f"""
DO $do$ BEGIN CREATE ROLE {q("ro")}; EXCEPTION WHEN duplicate_object THEN NULL; END $do$;
GRANT USAGE ON SCHEMA public TO {q("ro")};
CREATE SCHEMA {q("sc")} AUTHORIZATION swap_owner;
"""
SCHEMA = f"""
CREATE TYPE {q("en")} AS ENUM ({", ".join(f"'{EVIL.format(x).replace(chr(39), chr(39) * 2)}'" for x in "ab")});
CREATE SEQUENCE {q("se")};
CREATE TABLE {q("us")} (
    {q("id")} bigint CONSTRAINT {q("pk")} PRIMARY KEY DEFAULT nextval('{q("se").replace("'", "''")}'),
    {q("em")} text CONSTRAINT {q("un")} UNIQUE, {q("inv")} bigint CONSTRAINT {q("fi")} REFERENCES {q("us")},
    {q("st")} {q("en")} DEFAULT '{evil("a").replace("'", "''")}' CONSTRAINT {q("ch")} CHECK ({q("st")}::text <> '%s {{}} $swap$'),
    CONSTRAINT {q("ex")} EXCLUDE ({q("em")} WITH =));
ALTER SEQUENCE {q("se")} OWNED BY {q("us")}.{q("id")};
CREATE INDEX {q("ix")} ON {q("us")} (lower({q("em")})) WHERE {q("em")} <> '%s {{}} $swap$ '';';
CREATE STATISTICS {q("sx")} ON {q("id")}, {q("em")} FROM {q("us")};
CREATE TABLE {q("sc")}.{q("re")} (
    id bigserial PRIMARY KEY, {q("of")} bigint NOT NULL CONSTRAINT {q("fk")} REFERENCES {q("us")} ON DELETE CASCADE,
    swap text, "new" text, "old" text, r text, t text, mapped text, known text, "row" text, key text,
    CONSTRAINT {q("uq")} UNIQUE ({q("of")}, id));
CREATE TABLE {q("po")} (id bigserial PRIMARY KEY, kind text, {q("ab")} bigint, mapped text, known boolean);
CREATE FUNCTION {q("tf")}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.{q("em")} := NEW.{q("em")} || '%'; RETURN NEW; END $f$;
CREATE TRIGGER {q("tr")} BEFORE UPDATE OF {q("em")} ON {q("us")} FOR EACH ROW WHEN (NEW.{q("em")} = '%s {{}}') EXECUTE FUNCTION {q("tf")}();
CREATE VIEW {q("vi")} AS SELECT {q("id")} AS {q("vc")}, {q("em")} || '%s {{}} $swap$' AS x FROM {q("us")};
CREATE FUNCTION {q("fn")}({q("ar")} {q("us")}) RETURNS text LANGUAGE sql RETURN '%s {{}} $swap$';
CREATE POLICY {q("pl")} ON {q("us")} FOR SELECT TO {q("ro")} USING ({q("em")} <> '%s {{}} $swap$ ''' AND {q("id")} > 0);
GRANT SELECT ({q("id")}, {q("em")}) ON {q("us")} TO {q("ro")}; GRANT SELECT ON {q("vi")} TO {q("ro")};
COMMENT ON TABLE {q("us")} IS '%s {{}} $swap$ ''; --'; COMMENT ON COLUMN {q("us")}.{q("id")} IS '{evil("co").replace("'", "''")}';
INSERT INTO {q("us")} ({q("em")}) SELECT '%s {{}} ' || n FROM generate_series(1, 9) n; UPDATE {q("us")} SET {q("inv")} = 10 - {q("id")};
INSERT INTO {q("sc")}.{q("re")} ({q("of")}, mapped) SELECT {q("id")}, '%s' FROM {q("us")};
INSERT INTO {q("po")} (kind, {q("ab")}, known) SELECT 'us%{{}}', {q("id")}, true FROM {q("us")};
"""
PUBLISHED = f"CREATE PUBLICATION {q('pb')} FOR TABLE {q('us')} ({q('id')}, {q('em')});"
CONFIG = {
    "source": {"table": f'public.{q("us")}', "key": evil("id")},
    "identity": {"column": evil("uu")},
    "names": {"shadow": PLAIN + "sh", "retired": PLAIN + "rt", "legacy_key": evil("lk")},
    "reference": [
        {"table": f'{q("sc")}.{q("re")}', "column": evil("of"), "uuid_column": evil("ou"), "legacy_column": evil("ol")},
        {"table": f'public.{q("po")}', "column": evil("ab"), "where": "kind LIKE 'us%' AND kind <> '{}' AND known AND mapped IS NULL",
         "uuid_column": evil("au")},
    ],
    "policy": [{"table": f'public.{q("us")}', "name": evil("pl"), "using": f"{q('em')} <> '%s {{}} $swap$ '' %%'"}],
    "accept": {"findings": [f'publication:{q("pb")} of public.{q("us")}']},
}  # fmt: skip


def test_names_that_would_end_whatever_they_stand_in(whole: MakeWhole, capture_mode: Mode) -> None:
    """The cycle there and back gives the same dumps; rows that are written in between pass every trigger."""
    published = PUBLISHED if capture_mode == "trigger" else ""  # logical capture refuses a publication of the application's own
    one: Whole = whole(SCHEMA + published, superuser=ROLES, **CONFIG)
    one.exchange("cutover")
    one.query(
        f"INSERT INTO {q('us')} ({q('em')}) VALUES ('born'); WITH u AS (INSERT INTO {q('us')} ({q('em')}, {q('id')}) VALUES ('late',"
        f" '00000000-0000-0000-0000-000000000001')) INSERT INTO {q('po')} (kind, {q('au')}, known) VALUES"
        f" ('us', '00000000-0000-0000-0000-000000000001', true);"
        f"INSERT INTO {q('sc')}.{q('re')} ({q('of')}, mapped) SELECT {q('id')}, 'x' FROM {q('us')}",
    )
    one.exchange("revert")
    one.assert_dump("cutover")
    one.query(f"INSERT INTO {q('us')} ({q('em')}) VALUES ('after')")
    one.abort()
    one.assert_dump("prepare")


@pytest.mark.both_modes
def test_a_state_schema_of_such_a_name(whole: MakeWhole) -> None:
    """The journal's own statements too, which another library composes."""
    one = whole(
        "CREATE TABLE users (id bigserial PRIMARY KEY, n int); INSERT INTO users (n) SELECT generate_series(1, 9);"
        "CREATE VIEW v AS SELECT id FROM users",
        names={"state_schema": evil("ss")},
    )
    one.exchange("cutover")
    one.query("INSERT INTO users (n) VALUES (10)")
    one.exchange("revert")
    one.abort()


SPLICES = [
    "true); COMMIT; DROP TABLE victims; --", "true)) ; DROP TABLE victims; SELECT ((true", "true)); COMMIT; DROP TABLE victims; --",
    "true)) WITH CHECK ((true", "true)), ADD CHECK ((true", "true) TO reader USING (true", "true; DROP TABLE victims", "true -- ", "(true", "",
]  # fmt: skip


@pytest.mark.parametrize("key", ["where", "using", "check"])
def test_a_condition_is_one_expression(key: str, database: Database, connect: Connect) -> None:
    """No part of the text runs before that is known."""
    install(
        database,
        "CREATE TABLE users (id bigserial PRIMARY KEY, email text); CREATE TABLE victims (id bigserial, user_id bigint, kind text);"
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON users USING (id > 0) WITH CHECK (id > 0)",
    )
    for text in SPLICES:
        if key == "where":
            config = {"reference": [{"table": "public.victims", "column": "user_id", "where": text}]}
        else:
            config = {"policy": [{"table": "public.users", "name": "p", "using": "true", "check": "true"} | {key: text}]}
        if text == "true -- ":  # a comment ends with its line
            doctor(database, **config)
            continue
        with pytest.raises(UsageError, match="not one SQL expression"):
            doctor(database, **config)
    assert connect(database.superuser).execute("SELECT to_regclass('public.victims') IS NOT NULL").fetchone() == (True,)
