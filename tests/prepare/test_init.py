"""`init`: the file it writes loads and works as it is, and everything in it that is a comment loads when uncommented."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from swap.core.config import Config, load_config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName, parse_table
from swap.doctor.examine import examine
from swap.prepare.init import render, text, write
from swap.prepare.init_comments import EXAMPLES
from tests.support.servers import Database, ExampleFactory

Session = Callable[[str], Connection]
USERS = TableName("public", "users")


@pytest.fixture
def session() -> Iterator[Session]:
    """Factory: a session as the tool opens it, closed after the test."""
    opened: list[Connection] = []

    def connect(conninfo: str) -> Connection:
        opened.append(Conninfo.from_options(conninfo, "init").connect())
        return opened[-1]

    yield connect
    for conn in opened:
        conn.close()


def build(database: Database, statements: str) -> None:
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        conn.execute(statements.encode())


def load(tmp_path: Path, content: str) -> Config:
    path = tmp_path / "swap.toml"
    write(path, content, force=True)
    return load_config(path)


def uncommented(content: str) -> str:
    """Every commented setting and section turned on."""
    return re.sub(r"^# (?=\[+\w+\]+$|\w+ = )", "", content, flags=re.MULTILINE)


@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_the_example_works_unchanged(variant: Any, example: ExampleFactory, session: Session, tmp_path: Path) -> None:
    conn = session(example(variant, users=200).owner)
    config = load(tmp_path, render(conn, USERS))
    assert config == Config.model_validate({"source": {"table": "public.users"}})
    assert [f for f in examine(conn, config) if f.status == "blocker"] == []


def test_the_look_alike_of_the_example_is_ready_to_declare(example: ExampleFactory, session: Session, tmp_path: Path) -> None:
    conn = session(example("adopt", users=200).owner)
    content = render(conn, USERS)
    block = re.search(r"(?m)^# \[\[reference\]\]\n(# .*\n)+", content)
    assert block
    config = load(tmp_path, content.replace(block.group(), block.group().replace("# ", "")))
    (reference,) = config.reference
    assert (reference.table, reference.column, reference.where) == ("public.audit_logs", "actor_id", "actor_type = 'User'")
    findings = examine(conn, config)
    assert [f for f in findings if f.status == "blocker" or (f.name, f.status) == ("look-alike", "warning")] == []
    ignored = content.replace("# ignore =", "ignore =")
    assert load(tmp_path, ignored).ignore == ["public.audit_logs.actor_id"]


def test_every_setting_is_shown_with_its_default(example: ExampleFactory, session: Session) -> None:
    shown = tomllib.loads(uncommented(render(session(example("adopt", users=50).owner), USERS)))
    defaults = Config.model_validate({"source": {"table": "public.users"}})
    for name in Config.model_fields:
        section = getattr(defaults, name)
        if isinstance(section, BaseModel):
            assert set(shown[name]) == set(type(section).model_fields), name
        if name in ("names", "sync", "throttle", "verify", "cutover"):
            assert shown[name] == {k: EXAMPLES[k] if v is None else v for k, v in section.model_dump().items()}
    assert shown["hooks"]["timeout_s"] == defaults.hooks.timeout_s
    assert shown["pgbouncer"]["pause_timeout_ms"] == defaults.pgbouncer.pause_timeout_ms


def test_references_are_listed_with_what_becomes_of_them(example: ExampleFactory, session: Session) -> None:
    content = render(session(example("adopt", users=50).owner), USERS)
    assert "public.sessions.user_id: uuid column user_uuid_id (exists, adopted)" in content
    assert "public.user_roles.user_id: uuid column user_uuid_id (in the new table)" in content


def test_nothing_of_the_fresh_example_is_in_place(example: ExampleFactory, session: Session) -> None:
    """I1: also a table whose primary key holds the reference is rebuilt beside, so the uuids are computed."""
    content = render(session(example("fresh", users=50).owner), USERS)
    assert '# existing = "derived"' in content
    assert set(re.findall(r"#   public\.(\w+): (table|column)", content)) == {
        (name, "table") for name in ("api_access_tokens", "partner_applications", "sessions", "user_roles")
    }


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ("", "uuid_id"),
        ("guid uuid NOT NULL UNIQUE", "guid"),
        ("guid uuid UNIQUE", "guid"),
        ("a uuid UNIQUE, b uuid NOT NULL UNIQUE", "uuid_id"),
        ("token uuid NOT NULL UNIQUE", "uuid_id"),
        ("uuid uuid UNIQUE, thing_uuid uuid UNIQUE", "uuid_id"),
        ("token uuid UNIQUE, uuid uuid UNIQUE); CREATE TABLE others (of uuid REFERENCES things (token)", "token"),
        ("a uuid NOT NULL UNIQUE, b uuid NOT NULL UNIQUE", "uuid_id"),
        ("a uuid NOT NULL UNIQUE, uuid uuid NOT NULL UNIQUE, uuid_id text", "uuid"),
        ("not_unique uuid NOT NULL", "uuid_id"),
        ("uuid uuid UNIQUE REFERENCES parents", "uuid_id"),
        ("uuid_id text", "uuid"),
        ("uuid_id text, uuid text", "thing_uuid"),
    ],
)
def test_the_identity_column(columns: str, chosen: str, database: Database, session: Session, tmp_path: Path) -> None:
    others = "CREATE TABLE parents (uuid uuid PRIMARY KEY);"
    build(database, f"{others} CREATE TABLE things (nr bigserial PRIMARY KEY{', ' + columns if columns else ''})")
    config = load(tmp_path, render(session(database.superuser), TableName("public", "things")))
    assert (config.source.key, config.identity.column) == ("nr", chosen)


def test_a_uuid_that_may_be_a_token_is_asked_about(database: Database, session: Session) -> None:
    """Adopted, it would become the key that every client sees. What is adopted loses its name, and the file says so."""
    build(
        database,
        "CREATE TABLE things (id serial PRIMARY KEY, reset_token uuid NOT NULL UNIQUE, a uuid); CREATE TABLE users (id serial PRIMARY"
        " KEY, uuid uuid UNIQUE)",
    )
    conn = session(database.superuser)
    content = render(conn, TableName("public", "things"))
    assert "by which others know the row: reset_token? Then name it above" in content
    assert '#   column = "reset_token"' in content
    assert tomllib.loads(content)["identity"] == {"column": "uuid_id"}
    adopted = render(conn, TableName("public", "users"))
    assert "after the cutover its values are in id, and this name is gone" in adopted
    assert "by which others know the row" not in adopted


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("CREATE TABLE t (id bigint)", "no primary key"),
        ("CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))", "composite"),
        ("CREATE TABLE t (id uuid PRIMARY KEY)", "uuid already"),
        ("CREATE TABLE t (id serial PRIMARY KEY) PARTITION BY RANGE (id)", "RANGE of the key"),
    ],
)
def test_an_unusable_key_is_refused(table: str, said: str, database: Database, session: Session) -> None:
    build(database, table)
    with pytest.raises(RefusedError, match=said):
        render(session(database.superuser), TableName("public", "t"))


def test_an_unknown_table_is_a_usage_error(database: Database, session: Session) -> None:
    with pytest.raises(UsageError, match=r"no table public\.absent"):
        render(session(database.superuser), TableName("public", "absent"))


def test_hostile_names_survive_toml(database: Database, session: Session, tmp_path: Path) -> None:
    """Quotes, backslashes, newlines, percent signs and braces in names of tables, columns and values."""
    build(
        database,
        r"""
        CREATE TABLE "we""ird\ %s {x}
[hooks]" ("k""e\y
" bigserial PRIMARY KEY);
        CREATE TABLE "re]f" ("r
timeout_s = 1" bigint REFERENCES "we""ird\ %s {x}
[hooks]");
        CREATE TABLE "lo""ok" ("o""_type" text, "o""_id" bigint);
        INSERT INTO "lo""ok" VALUES (E'x::we"ird\\ %s {x}\n[hooks]', 1), (E'we"ird\\ %s {x}\n[hooks]', 2);
        """,
    )
    name = TableName("public", 'we"ird\\ %s {x}\n[hooks]')
    conn = session(database.superuser)
    content = render(conn, name)
    config = load(tmp_path, content)
    assert (config.source.name, config.source.key) == (name, 'k"e\\y\n')
    assert config.hooks.timeout_s == 3600
    tomllib.loads(uncommented(content))
    assert [f for f in examine(conn, config) if f.status == "blocker"] == []


@pytest.mark.parametrize("value", ['"', "\\", "\n", "\x7f", "\x00", "é", "\u2028", "𝄞", "'''", '"""', "\t", "\ud7ff", "{table}"])
def test_strings_round_trip(value: str) -> None:
    assert tomllib.loads(f"x = {text(value + 'a' + value)}")["x"] == value + "a" + value


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "swap.toml"
    write(path, "one")
    with pytest.raises(UsageError, match="exists already") as raised:
        write(path, "two")
    assert "--force" in raised.value.hint
    assert path.read_text() == "one"
    write(path, "two", force=True)
    assert path.read_text() == "two"


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "absent" / "swap.toml", tmp_path):
        with pytest.raises(UsageError, match=r"Cannot write|exists already"):
            write(path, "x")
    with pytest.raises(UsageError, match="Cannot write"):
        write(tmp_path, "x", force=True)


def test_names_in_the_file_are_parsed_back(database: Database, session: Session, tmp_path: Path) -> None:
    build(database, 'CREATE SCHEMA "Mixed"; CREATE TABLE "Mixed"."select" ("Id" serial PRIMARY KEY)')
    name = TableName("Mixed", "select")
    config = load(tmp_path, render(session(database.superuser), name))
    assert parse_table(config.source.table) == name
    assert config.source.key == "Id"
