"""[[default]], [[view]], [[function]], [[trigger]] and [[index]]: an entry that does not fit is refused by name, before anything is built.
What entries do: the cases `texts_afterwards` and `reference_default`."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.errors import UsageError
from swap.doctor.examine import examine
from swap.doctor.trial.build import trial_findings
from swap.plan.planning import read_plan
from tests.support.migration import install
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, note text);
CREATE VIEW names AS SELECT id, email FROM users;
CREATE FUNCTION f(bigint) RETURNS users LANGUAGE sql AS 'SELECT * FROM users WHERE id = $1';
CREATE FUNCTION g(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM sessions WHERE user_id = $1';
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE INDEX ix ON sessions (user_id);
INSERT INTO users (email) VALUES ('a');
"""
UNFIT: list[tuple[str, dict[str, str], str]] = [
    ("default", {"table": "nope", "column": "x", "definition": "1"}, "names no table that takes part"),
    ("default", {"table": "sessions", "column": "nope", "definition": "1"}, "names no column"),
    ("default", {"table": "users", "column": "id", "definition": "1"}, "is the key"),
    ("view", {"name": "nope", "definition": "SELECT 1"}, "names no view"),
    ("function", {"name": "public.nope(bigint)", "definition": "SELECT 1"}, "names no function"),
    ("function", {"name": "public.f(bigint)", "definition": "SELECT 1"}, "is not a CREATE FUNCTION"),
    ("function", {"name": "public.f(bigint)", "definition": "CREATE FUNCTION h() RETURNS int LANGUAGE sql AS 'SELECT 1'"}, "creates h"),
    ("trigger", {"table": "sessions", "name": "nope", "definition": "SELECT 1"}, "names no trigger"),
    ("trigger", {"table": "sessions", "name": "tr", "definition": "SELECT 1"}, "is not a CREATE TRIGGER"),
    (
        "trigger",
        {"table": "sessions", "name": "tr", "definition": "CREATE TRIGGER tr BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fire()"},
        "creates it ON users",
    ),
    ("index", {"name": "nope", "definition": "(user_id)"}, "names no index"),
    ("index", {"name": "users_pkey", "definition": "(email)"}, "which stays the key"),
]  # fmt: skip


def test_an_entry_that_does_not_fit(database: Database) -> None:
    """By `doctor` as a blocker of its section, and by `plan` as an error of the configuration."""
    install(database, SCHEMA)
    with closing(Conninfo.from_options(database.owner, "texts").connect()) as conn:
        for section, entry, said in UNFIT:
            config = Config.model_validate({"source": {"table": "public.users"}, section: [entry]})
            assert any(f.name == section and said in f.detail for f in examine(conn, config)), (section, entry)
            with pytest.raises(UsageError, match=said):
                read_plan(conn, config)


BAD: list[tuple[str, dict[str, str]]] = [
    ("default", {"table": "sessions", "column": "user_id", "definition": "0"}),
    ("view", {"name": "names", "definition": "SELECT id + 1 AS id FROM users"}),
    ("function", {"name": "public.g(bigint)", "definition": "CREATE FUNCTION g(bigint) RETURNS bigint AS 'SELECT id + 1 FROM users' LANGUAGE sql"}),
    ("index", {"name": "ix", "definition": "(user_id) WHERE user_id > 0"}),
    ("trigger", {"table": "sessions", "name": "tr", "definition": "CREATE TRIGGER tr BEFORE UPDATE ON sessions EXECUTE FUNCTION nope()"}),
]  # fmt: skip


@pytest.mark.parametrize(("section", "entry"), BAD, ids=[s for s, _ in BAD])
def test_a_text_that_does_not_hold_is_found_in_the_trial(section: str, entry: dict[str, Any], database: Database) -> None:
    install(database, SCHEMA)
    config = Config.model_validate({"source": {"table": "public.users"}, section: [entry]})
    named = entry.get("column") or entry["name"].rpartition(".")[2]
    with closing(Conninfo.from_options(database.owner, "texts").connect()) as conn:
        found = [f for f in examine(conn, config, trial=trial_findings) if f.status == "blocker"]
    assert any(named in f.object and not f.acceptable and f.hint == "Correct its `definition`." for f in found), found


SPLICED = [
    ("default", {"table": "sessions", "column": "note", "definition": "1); DROP TABLE sessions; --"}),
    ("view", {"name": "names", "definition": "SELECT 1; DROP TABLE sessions"}),
    ("function", {"name": "public.g(bigint)", "definition": "CREATE FUNCTION g(bigint) RETURNS bigint AS '' LANGUAGE sql; DROP TABLE sessions"}),
    ("trigger", {"table": "sessions", "name": "tr",
                 "definition": "CREATE TRIGGER tr BEFORE UPDATE ON sessions EXECUTE FUNCTION fire(); DROP TABLE sessions"}),
    ("index", {"name": "ix", "definition": "(user_id); DROP TABLE sessions"}),
]  # fmt: skip


def test_a_text_is_one_statement(database: Database) -> None:
    """Before any of it runs."""
    install(database, SCHEMA)
    with closing(Conninfo.from_options(database.owner, "texts").connect()) as conn:
        for section, entry in SPLICED:
            config = Config.model_validate({"source": {"table": "public.users"}, section: [entry]})
            with pytest.raises(UsageError, match="is not one"):
                read_plan(conn, config)
