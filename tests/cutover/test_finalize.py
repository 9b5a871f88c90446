"""`finalize` says what is in its way before it drops anything (H45, I8, I10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from cutover.finalize import finalize
from cutover.finalize_checks import legacy_dependents, legacy_functions
from swap.core.config import Config
from swap.core.errors import RefusedError
from tests.support.commands import Cli
from tests.support.cycling import Cycle, Start
from tests.support.migration import configuration
from tests.support.mode import with_mode
from tests.support.operator import Operator
from tests.support.servers import Database, DatabaseServer
from tests.support.terminal import OnTerminal

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, twice bigint GENERATED ALWAYS AS (id * 2) STORED, CHECK (id > 0));
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, CONSTRAINT real CHECK (user_id > 0));
CREATE TABLE members (team int, user_id bigint REFERENCES users, PRIMARY KEY (team, user_id), UNIQUE (user_id, team));
CREATE INDEX sessions_user ON sessions (user_id);
CREATE POLICY own ON users USING (id = current_setting('app.user', true)::bigint AND EXISTS (SELECT FROM sessions s WHERE s.user_id = id));
CREATE POLICY own ON sessions USING (user_id = current_setting('app.user', true)::bigint);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
INSERT INTO members SELECT 1, id FROM users;
"""
BOUND = {
    "public.users.legacy_id: constraint users_id_check on table users",
    "public.users.legacy_id: generated column users.twice",
    "public.users.legacy_id: policy own on table users",
    "public.sessions.user_legacy_id: constraint real on table sessions",
    "public.sessions.user_legacy_id: policy own on table sessions",
    "public.sessions.user_legacy_id: policy own on table users",
}
LATER = """
CREATE VIEW v AS SELECT legacy_id FROM users;
CREATE MATERIALIZED VIEW mv AS SELECT user_legacy_id FROM sessions;
CREATE INDEX partly ON users (email) WHERE legacy_id > 5;
CREATE INDEX both_keys ON users (legacy_id, email);
CREATE UNIQUE INDEX expressed ON users ((legacy_id + 1));
CREATE STATISTICS st ON legacy_id, email FROM users;
ALTER TABLE sessions ADD CONSTRAINT once UNIQUE (user_legacy_id, id);
CREATE TABLE tags (of bigint REFERENCES users (legacy_id));
CREATE FUNCTION bound() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT max(legacy_id) FROM public.users; END;
CREATE FUNCTION mentions(k bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.users WHERE Legacy_Id = k';
CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1 AS some_legacy_id_x';
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER tr AFTER UPDATE OF user_legacy_id ON sessions FOR EACH ROW EXECUTE FUNCTION tf();
CREATE TABLE drawn (n bigint DEFAULT nextval('users_id_seq'));
"""
MADE = {
    "public.users.legacy_id: view public.v",
    "public.sessions.user_legacy_id: materialized view public.mv",
    "public.users.legacy_id: index partly",
    "public.users.legacy_id: index both_keys",
    "public.users.legacy_id: index expressed",
    "public.users.legacy_id: statistics object st",
    "public.sessions.user_legacy_id: constraint once on table sessions",
    "public.users.legacy_id: constraint tags_of_fkey on table tags",
    "public.users.legacy_id: function bound()",
    "public.sessions.user_legacy_id: trigger tr on table sessions",
    "public.users.legacy_id: default value for column n of table drawn",
}


@pytest.fixture
def cut(server: DatabaseServer, database: Database) -> Iterator[Cycle]:
    made = Cycle(server, database, SCHEMA)
    made.ready()
    made.cutover()
    yield made
    made.m.conn.close()


def run(db: Database, ddl: str) -> None:
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        conn.execute(ddl.encode())


def drop(cut: Cycle, **config: object) -> None:
    m = cut.m
    settings = Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})
    finalize(replace(m, config=settings), drop_legacy=True)


def named(needed: list[str]) -> set[str]:
    """As a session with `public` in its search_path reads them."""
    return {n.partition(": ")[0] + ": " + unqualified(n.partition(": ")[2]) for n in needed}


def unqualified(described: str) -> str:
    return described if described.startswith(("view", "materialized")) else described.replace("public.", "")


def test_everything_that_needs_an_integer_is_listed(cut: Cycle) -> None:
    """H45: what DROP COLUMN would refuse and what it would silently take along; swap's own indexes and guards are not."""
    assert named(legacy_dependents(cut.m.conn, cut.m.plan)) == BOUND
    run(cut.db, LATER)
    assert named(legacy_dependents(cut.m.conn, cut.m.plan)) == BOUND | MADE
    assert legacy_functions(cut.m.conn, cut.m.plan) == [("public.mentions(bigint)", "legacy_id")]
    before = cut.dump()
    with pytest.raises(RefusedError) as refused:
        drop(cut)
    said = refused.value.message.partition("needed by: ")[2].removesuffix(".").split("; ")
    assert named(said) == BOUND | MADE | {"legacy_id: the body of mentions(bigint)"}
    assert '"legacy:public.mentions(bigint)"' in (refused.value.hint or "")
    assert cut.dump() == before


def test_a_body_that_was_read_is_taken_on_and_the_integers_go(cut: Cycle) -> None:
    """H45: with nothing bound to them; a second call finds nothing left to do."""
    run(
        cut.db,
        "DROP POLICY own ON users; DROP POLICY own ON sessions; ALTER TABLE users DROP twice, DROP CONSTRAINT users_id_check;"
        "ALTER TABLE sessions DROP CONSTRAINT real;"
        "CREATE FUNCTION mentions() RETURNS text LANGUAGE sql AS $$SELECT 'legacy_id'$$",
    )
    with pytest.raises(RefusedError, match="the body of"):
        drop(cut)
    drop(cut, accept={"findings": ["legacy:public.mentions()"]})
    found = cut.m.conn.execute(
        "SELECT attname FROM pg_attribute WHERE attname ~ 'legacy' AND NOT attisdropped AND attrelid > 16384"
    ).fetchall()
    assert found == []
    run(
        cut.db,
        "INSERT INTO users (email) VALUES ('after'); INSERT INTO sessions (user_id) SELECT id FROM users WHERE email = 'after'",
    )


def test_policies_written_for_the_uuid_are_not_in_the_way(server: DatabaseServer, database: Database) -> None:
    """H45: what [[policy]] replaced needs no integer; rows are seen as before when the integers are gone."""
    schema = """
        CREATE TABLE users (id bigserial PRIMARY KEY, email text);
        CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
        ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON sessions TO app USING (EXISTS (SELECT FROM users u WHERE u.id = user_id AND u.email = current_user || user_id));
        INSERT INTO users (email) SELECT 'app' || n FROM generate_series(1, 9) n;
        INSERT INTO sessions (user_id) SELECT id FROM users;
    """
    using = "EXISTS (SELECT FROM public.users u WHERE u.id = sessions.user_id AND u.email = 'app4')"
    cycle = Cycle(server, database, schema, policy=[{"table": "public.sessions", "name": "own", "using": using}])
    cycle.ready()
    cycle.cutover()
    drop(cycle)
    with closing(psycopg.connect(database.app)) as conn:
        assert conn.execute("SELECT id FROM sessions").fetchall() == [(4,)]
    cycle.m.conn.close()


def test_what_uses_the_retired_table_is_listed(cut: Cycle) -> None:
    """I8: made after the cutover; DROP TABLE would refuse the first five and drop the last without a word."""
    run(
        cut.db,
        "CREATE VIEW was AS SELECT email FROM users_old; CREATE TABLE kid () INHERITS (users_old);"
        "CREATE TABLE t (id bigint REFERENCES users_old); CREATE FUNCTION f(users_old) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE POLICY p ON t USING (EXISTS (SELECT FROM users_old o WHERE o.id = t.id));"
        "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON t FROM users_old FOR EACH ROW EXECUTE FUNCTION tf()",
    )
    before = cut.dump()
    with pytest.raises(RefusedError) as refused:
        drop(cut)
    said = refused.value.message.replace("public.", "")
    assert said == (
        "The retired table users_old is still used by: constraint t_id_fkey on table t; function f(users_old); policy p on"
        " table t; rule _RETURN on view was; table kid; trigger ct on table t."
    )
    assert cut.dump() == before


POLYMORPHIC = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE audits (id bigserial PRIMARY KEY, auditable_type text NOT NULL, auditable_id bigint NOT NULL);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO audits (auditable_type, auditable_id) SELECT 'User', id FROM users;
INSERT INTO audits (auditable_type, auditable_id) SELECT 'Order', n FROM generate_series(1, 50) n;
INSERT INTO audits (auditable_type, auditable_id) VALUES ('User', 77), ('User', 78);
"""
ONLY_USERS = "DELETE FROM audits WHERE auditable_type = 'Order'; ALTER TABLE audits ADD CHECK (auditable_type = 'User');"
AUDITS = [{"table": "public.audits", "column": "auditable_id", "where": "auditable_type = 'User'"}]


def test_an_integer_without_a_uuid_is_not_dropped(start: Start) -> None:
    """H65, I8: orphans in a column that became a uuid exist nowhere else. Kept elsewhere, or taken on by name, the column goes."""
    reference = [{**AUDITS[0], "as": "uuid"}]
    cycle = start(POLYMORPHIC + ONLY_USERS, reference=reference)
    cycle.ready()
    cycle.cutover()
    before = cycle.dump()
    with pytest.raises(RefusedError) as refused:
        drop(cycle, reference=reference)
    label = "public.audits.auditable_legacy_id"
    assert refused.value.message == f"Integers without a uuid beside them would be lost: {label} holds 2 of 11 integers."
    assert f'findings = ["legacy-values:{label}"]' in refused.value.hint
    assert cycle.dump() == before
    run(
        cycle.db,
        "ALTER TABLE audits ADD order_id bigint; UPDATE audits SET order_id = auditable_legacy_id WHERE auditable_id IS NULL",
    )
    drop(cycle, reference=reference, accept={"findings": [f"legacy-values:{label}"]})
    assert cycle.m.conn.execute("SELECT count(*) FROM public.audits WHERE order_id > 0").fetchone() == (2,)


def test_a_companion_outlives_the_integers(start: Start) -> None:
    """H65, I8: without the guard too, rows of every type are written and changed, and no integer of any type is gone."""
    cycle = start(POLYMORPHIC, reference=AUDITS)
    cycle.ready()
    cycle.cutover()
    drop(cycle, reference=AUDITS)
    run(
        cycle.db,
        "INSERT INTO audits (auditable_type, auditable_id) VALUES ('Order', 51);"
        "INSERT INTO audits (auditable_type, auditable_uuid_id) SELECT 'User', id FROM users LIMIT 1;"
        "UPDATE audits SET auditable_type = 'Item' WHERE auditable_id = 50",
    )
    counted = (
        "SELECT auditable_type, count(*), count(auditable_id), count(auditable_uuid_id) FROM public.audits GROUP BY 1 ORDER BY 1"
    )
    assert cycle.m.conn.execute(counted).fetchall() == [("Item", 1, 1, 0), ("Order", 50, 50, 0), ("User", 12, 11, 10)]
    with pytest.raises(psycopg.errors.CheckViolation):
        run(cycle.db, "INSERT INTO audits (auditable_type) VALUES ('Order')")


def test_a_cutover_that_is_too_young_is_not_finalized(cut: Cycle) -> None:
    """H65: [finalize] min_age_s, by the server's clock."""
    before = cut.dump()
    age = "UPDATE swap.attempt SET at = at - interval '{}'"
    settings = configuration(finalize={"min_age_s": 3600})
    for older in ("0 s", "50 minutes", "-2 hours"):
        run(cut.db, age.format(older))
        with pytest.raises(RefusedError, match=r"min_age_s asks for 3,600 s"):
            finalize(replace(cut.m, config=settings), drop_legacy=False)
    assert cut.dump() == before
    run(cut.db, age.format("3 hours"))
    finalize(replace(cut.m, config=settings), drop_legacy=False)


def test_what_goes_is_listed_before_it_asks(cli: Cli, on_terminal: OnTerminal, cut: Cycle, tmp_path: Path) -> None:
    """I8: tables, columns and rows, the age of the cutover and the last verification; a question of its own for the integers."""
    run(
        cut.db,
        "DROP POLICY own ON users; DROP POLICY own ON sessions; ALTER TABLE users DROP twice, DROP CONSTRAINT users_id_check;"
        "ALTER TABLE sessions DROP CONSTRAINT real; ANALYZE users_old",
    )
    config = tmp_path / "swap.toml"
    config.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    asked: dict[tuple[str, ...], str] = {}
    for options, prompt, answer in (((), "[y/N]", "n"), (("--drop-legacy",), "Type public.users to go on:", "y")):
        terminal = on_terminal("finalize", *options, config=config, dsn=cut.db.owner)
        asked[options] = " ".join(terminal.until_shown(prompt).split())  # lines are cut where the terminal ends
        terminal.answer(answer)
        assert terminal.end() == 6
        assert "cut over: " in asked[options]
        assert "verified: identical (exact, reverse)" in asked[options]
        assert "goes for good: table public.users_old, about 9 rows" in asked[options]
    assert "There is no revert after this" in asked[()]
    assert "every integer column for good?" in asked["--drop-legacy",]
    for column in ("users.legacy_id", "sessions.user_legacy_id", "members.user_legacy_id"):
        assert f"goes for good: column public.{column}, 9 integers" in asked["--drop-legacy",]
        assert column not in asked[()]
    done = Operator(cli, cut.db, tmp_path, "\n")("finalize", "--yes")
    assert "public.users_old" in {d["table"] for d in done.json["dropped"]}
    assert done.json["verification"]["verdict"] == "identical"
    assert "goes for good: table public.users_old" in done.stderr
    terminal = on_terminal("finalize", "--drop-legacy", config=config, dsn=cut.db.owner)
    terminal.until(lambda shown: "to go on:" in shown)
    terminal.answer("public.users")
    assert terminal.end() == 0
    left = "SELECT 1 FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'legacy_id' AND NOT attisdropped"
    with closing(psycopg.connect(cut.db.owner)) as conn:
        assert conn.execute(left).fetchone() is None
