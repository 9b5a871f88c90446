"""User triggers are carried over and fire for the same statements (H28, I10). A backfill fires none of them (H14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.connection import may_set
from swap.doctor.trial.build import trial_findings
from swap.plan.backfill_triggers import touched_by
from swap.plan.planning import read_plan
from tests.support.commands import Cli
from tests.support.cycling import Cycle, doctor
from tests.support.migration import Driver, background, install
from tests.support.mode import toml_with_mode, with_mode
from tests.support.servers import Database, DatabaseServer
from tests.support.waiting import wait_until

SCHEMA = """
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, user_uuid_id uuid, note text);
CREATE TABLE fired (n bigserial PRIMARY KEY, what text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
    'BEGIN INSERT INTO fired (what) VALUES (concat_ws('' '', TG_NAME, TG_OP, TG_ARGV[0])); RETURN NULL; END';
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
    'BEGIN INSERT INTO fired (what) SELECT concat_ws('' '', TG_NAME, count(*)) FROM was JOIN becomes USING (note); RETURN NULL; END';
"""
TRIGGERS = """
CREATE TRIGGER b_key AFTER UPDATE OF id ON users FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER a_mail AFTER UPDATE OF email ON users FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION fire('it''s');
CREATE TRIGGER c_when AFTER INSERT ON users FOR EACH ROW WHEN (NEW.id IS NOT NULL) EXECUTE FUNCTION fire();
CREATE TRIGGER d_uuid AFTER UPDATE OF uuid_id, id ON users FOR EACH ROW EXECUTE FUNCTION fire('by number');
CREATE TRIGGER e_off AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER f_always AFTER UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION fire();
CREATE TRIGGER g_replica AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fire();
ALTER TABLE users DISABLE TRIGGER e_off, ENABLE ALWAYS TRIGGER f_always, ENABLE REPLICA TRIGGER g_replica;
COMMENT ON TRIGGER a_mail ON users IS 'a comment';
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire();
COMMENT ON CONSTRAINT late ON users IS 'of the constraint';
CREATE TRIGGER moved AFTER UPDATE OF user_id ON sessions FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION fire();
CREATE TRIGGER either AFTER UPDATE OF user_id, user_uuid_id ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER noted AFTER UPDATE ON sessions REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION counted();
CREATE CONSTRAINT TRIGGER from_users AFTER UPDATE OF user_id ON sessions FROM users DEFERRABLE FOR EACH ROW EXECUTE FUNCTION fire();
"""
WORK = (
    "UPDATE users SET email = 'a' WHERE email = 'user1'",
    "UPDATE users SET email = email WHERE email = 'a'",
    "UPDATE users SET email = 'user1' WHERE email = 'a'",
    "UPDATE users SET id = id WHERE email = 'user2'",
    "INSERT INTO users (email) VALUES ('new')",
    "DELETE FROM users WHERE email = 'new'",
    "UPDATE sessions SET user_id = (SELECT id FROM users WHERE email = 'user3') WHERE note IS NULL AND id = 1",
    "UPDATE sessions SET user_id = (SELECT id FROM users WHERE email = 'user1'), note = NULL WHERE id = 1",
    "UPDATE sessions SET note = 'x' WHERE id = 2",
    "UPDATE sessions SET note = NULL WHERE id = 2",
)


@pytest.fixture
def cycle(server: DatabaseServer, database: Database) -> Iterator[Callable[..., Cycle]]:
    made: list[Cycle] = []

    def make(ddl: str, **config: Any) -> Cycle:
        made.append(Cycle(server, database, ddl, **config))
        return made[-1]

    yield make
    for c in made:
        c.m.conn.close()


def fired(db: Database, *statements: str, role: str = "origin") -> list[str]:
    """The effects of the application's triggers for these statements, in order."""
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        conn.execute("TRUNCATE fired")
        conn.execute("SELECT set_config('session_replication_role', %s, false)", [role])
        for statement in statements:
            conn.execute(statement.encode())
        return [r[0] for r in conn.execute("SELECT what FROM fired ORDER BY n")]


def count(db: Database) -> int:
    with closing(psycopg.connect(db.owner)) as conn:
        row = conn.execute("SELECT count(*) FROM fired").fetchone()
        assert row is not None
        return int(row[0])


EXPECTED = [
    "a_mail UPDATE it's", "f_always UPDATE",
    "f_always UPDATE",
    "a_mail UPDATE it's", "f_always UPDATE",
    "b_key UPDATE", "d_uuid UPDATE by number", "f_always UPDATE",
    "c_when INSERT", "late INSERT",
    "either UPDATE", "from_users UPDATE", "moved UPDATE", "noted 0",
    "either UPDATE", "from_users UPDATE", "moved UPDATE", "noted 0",
    "noted 0", "noted 0",
]  # fmt: skip


def test_triggers_fire_for_the_same_statements(cycle: Callable[..., Cycle]) -> None:
    """H28: before, during and after a run, in every enabled state, in the order of their names, with their arguments."""
    c = cycle(SCHEMA + TRIGGERS)
    replica = ["f_always UPDATE", "g_replica UPDATE"]
    for turn in (c.ready, c.cutover, c.revert):
        turn()
        assert fired(c.db, *WORK) == EXPECTED, turn
        comment = "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'late' AND conrelid = 'public.users'::regclass"
        assert c.m.conn.execute(comment).fetchall() == [("of the constraint",)]
        assert fired(c.db, WORK[0], role="replica")[-2:] == sorted(replica, reverse=True)
        fired(c.db, WORK[2])
        before = count(c.db)
        c.caught_up()
        assert count(c.db) == before, "replay fires nothing, into the shadow or into the retired table"
    assert [f.object for f in c.findings if f.name == "trigger"] == ["public.sessions.either", "public.users.d_uuid"]
    c.abort()


@pytest.mark.parametrize(
    ("table", "when"), [("users", "NEW.id > 100"), ("sessions", "NEW.user_id = 0"), ("sessions", "OLD.user_id < NEW.user_id + 1")]
)
def test_a_condition_that_cannot_hold_a_uuid_is_found_before_anything_is_built(database: Database, table: str, when: str) -> None:
    """H25, H28: the trial build creates the trigger."""
    trigger = f"CREATE TRIGGER tr BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION fire();"
    install(database, SCHEMA + trigger)
    config = Config.model_validate({"source": {"table": "public.users"}, **with_mode({})})
    with closing(Conninfo.from_options(database.owner, "test").connect()) as conn:
        found = [f for f in trial_findings(conn, read_plan(conn, config)) if f.status == "blocker"]
    assert [f.object for f in found] == [f"public.{table}.tr"]
    assert "operator does not exist: uuid" in found[0].detail


AUDITED = """
CREATE TRIGGER usual AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER batch AFTER UPDATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION fire();
CREATE TRIGGER off AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER noted AFTER UPDATE OF note ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER uuids AFTER UPDATE OF user_uuid_id ON sessions FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER replica AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fire('r');
CREATE TRIGGER always AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fire('a');
ALTER TABLE sessions DISABLE TRIGGER off, ENABLE REPLICA TRIGGER replica, ENABLE ALWAYS TRIGGER always;
"""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_backfill_fires_only_what_was_said(database: Database, allowed: bool) -> None:
    """H14: `plan` says of each trigger whether it fires, `doctor` refuses those that fire until they are accepted, and the backfill
    fires exactly those. The guard fills the pair in both cases."""
    install(database, SCHEMA + AUDITED)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        conn.execute(
            f"{'GRANT' if allowed else 'REVOKE'} SET ON PARAMETER session_replication_role {'TO' if allowed else 'FROM'} swap_owner"
        )
    try:
        blockers = {
            f.object.rpartition(".")[2] for f in doctor(database) if f.name == "backfill-triggers" and f.status == "blocker"
        }
        m = Driver.begin(database)
        assert may_set(m.conn, "session_replication_role") is allowed
        met = {t.trigger.name: t.fires for t in touched_by(m.plan, suppressed=allowed)}
        assert met == {"usual": not allowed, "batch": not allowed, "uuids": not allowed, "replica": allowed, "always": True}
        assert blockers == {name for name, fires in met.items() if fires}
        m.synced()
        with closing(psycopg.connect(database.owner)) as conn:
            names = {r[0].split()[0] for r in conn.execute("SELECT what FROM fired")}
        assert names == blockers
        m.assert_same()
        with closing(psycopg.connect(database.app, autocommit=True)) as conn:
            conn.execute("UPDATE sessions SET user_id = 2 WHERE id = 1")
        m.assert_same()
        m.conn.close()
    finally:
        with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
            conn.execute("GRANT SET ON PARAMETER session_replication_role TO swap_owner")


def test_plan_names_the_triggers_of_the_backfill(database: Database, cli: Cli, tmp_path: Path) -> None:
    """H14: as text and as JSON."""
    install(database, SCHEMA + AUDITED)
    config = tmp_path / "swap.toml"
    fires = [f"backfill-triggers:public.sessions.{name}" for name in ("always", "replica")]
    config.write_text(toml_with_mode(f'[source]\ntable = "public.users"\n[accept]\nfindings = {fires}\n'), encoding="utf-8")
    text = cli("plan", config=config, dsn=database.owner).stdout
    assert "user triggers that the backfill's UPDATEs meet: 5" in text
    assert "public.sessions.usual (enabled, public.fire()): suppressed while the backfill runs" in text
    assert "public.sessions.always (enabled ALWAYS, public.fire()): FIRES for every row" in text
    listed = cli("plan", "--json", config=config, dsn=database.owner).json["backfill_triggers"]
    assert {
        "table": "public.sessions",
        "trigger": "replica",
        "function": "public.fire()",
        "state": "enabled REPLICA",
        "fires": True,
    } in listed


def test_a_foreign_key_over_the_uuid_holds_though_its_check_is_suppressed(database: Database) -> None:
    """H14: when a row is deleted while the backfill fills references to it, no orphan remains under the application's key."""
    ddl = """CREATE TABLE logs (id bigserial PRIMARY KEY, actor_id bigint, actor_uuid uuid REFERENCES users (uuid_id) ON DELETE CASCADE);
             INSERT INTO logs (actor_id) SELECT id FROM users;"""
    install(database, SCHEMA + ddl)
    m = Driver.begin(database, reference=[{"table": "public.logs", "column": "actor_id"}])
    m.prepare()
    with (
        closing(psycopg.connect(database.owner)) as deleting,
        closing(psycopg.connect(database.superuser, autocommit=True)) as seeing,
    ):
        deleting.execute("DELETE FROM sessions WHERE user_id = 5")
        deleting.execute("DELETE FROM users WHERE id = 5")
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        filled = "SELECT 1 FROM logs WHERE actor_uuid IS NOT NULL"
        with background(m.sync, deleting.rollback) as work:
            wait_until(
                lambda: any(seeing.execute(q).fetchone() for q in (waiting, filled)), 60, "the backfill at the deleted row"
            )
            deleting.commit()
            work.result(60)
        orphans = "SELECT actor_id FROM logs WHERE actor_uuid IS NOT NULL AND actor_uuid NOT IN (SELECT uuid_id FROM users)"
        assert seeing.execute(orphans).fetchall() == []
        assert seeing.execute("SELECT actor_id, actor_uuid FROM logs WHERE actor_uuid IS NULL").fetchall() == [(5, None)]
    m.conn.close()
