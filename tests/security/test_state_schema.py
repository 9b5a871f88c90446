"""I11: the state schema is believed by its owner and its shape, never by its comment. Before that nothing in it is read, so
nothing in it is executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swap.core.errors import RefusedError
from swap.core.sql_text import verbatim
from swap.state import trust
from swap.state.journal import Journal
from swap.state.trust import state_faults
from swap.state.upgrade import MARK, VERSION
from tests.support.commands import Cli
from tests.support.migration import ROLES, Migrate, Synced, migrations
from tests.support.servers import Connect, Database

migrate = pytest.fixture(migrations)

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
CREATE VIEW emails AS SELECT id, email FROM users;
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 3) n;
"""
CONFIG = '[source]\ntable = "public.users"\n'
TRAP = f"""
CREATE SCHEMA swap;
COMMENT ON SCHEMA swap IS '{MARK}, version {VERSION}';
CREATE TYPE swap.phase AS ENUM ('syncing');
CREATE TABLE public.executed (by name);
GRANT INSERT ON public.executed TO PUBLIC;
CREATE FUNCTION swap.trap() RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.executed VALUES (current_user); RETURN 1; END $$;
CREATE VIEW swap.run WITH (security_invoker) AS SELECT swap.trap() AS id, 'public'::text AS source_schema, 'users'::text AS source_table,
    'syncing'::swap.phase AS phase, 'trigger'::text AS mode, '{{}}'::jsonb AS plan, NULL::jsonb AS baseline, false AS paused,
    NULL::bigint AS bound, NULL::text AS complete_xid, NULL::text AS verified, now() AS created_at, now() AS changed_at;
GRANT USAGE ON SCHEMA swap TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA swap TO PUBLIC
"""
COMMANDS = [
    ["status"],
    ["doctor"],
    ["plan"],
    ["prepare"],
    ["sync", "--once"],
    ["verify"],
    ["cutover", "--yes"],
    ["abort", "--yes"],
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def trap(make_role: Callable[[], str], database: Database, connect: Connect) -> str:
    """The make_role fixture comes first in each test: roles go after the databases. A role that may create schemas in the database, and has made the state schema. Returns its name."""
    intruder = make_role()
    admin = connect(database.superuser)
    admin.execute(ROLES)
    admin.execute(f"GRANT CREATE ON DATABASE {database.dbname} TO {intruder}; GRANT ALL ON SCHEMA public TO {intruder}".encode())
    connect(database.owner).execute(SCHEMA)
    admin.execute(f"SET SESSION AUTHORIZATION {intruder}".encode())
    admin.execute(TRAP.encode())
    return intruder


@pytest.mark.parametrize("victim", ["superuser", "owner"])
def test_an_intruders_schema_is_not_read(
    trap: str, database: Database, connect: Connect, cli: Cli, config: Path, victim: str
) -> None:
    """Given a state schema that another role made, then each command is refused, names that role, and runs no code of it."""
    dsn = getattr(database, victim)
    admin = connect(database.superuser)
    admin.execute(f"GRANT {trap} TO swap_owner".encode())  # a membership is no reason to believe it
    for command in COMMANDS:
        result = cli(*command, config=config, dsn=dsn, check=False)
        said = result.stdout + result.stderr
        assert result.code == 3, said
        assert trap in said
        assert "state_schema" in said
        assert f"GRANT {trap}" not in said
    assert admin.execute("SELECT * FROM executed").fetchall() == []


def test_doctor_goes_on(trap: str, database: Database, cli: Cli, config: Path) -> None:
    found = cli("doctor", "--json", config=config, dsn=database.owner, check=False).json["checks"]
    (state,) = [c for c in found if c["name"] == "state-schema"]
    assert (state["status"], state["object"]) == ("blocker", "swap")
    assert trap in state["detail"]
    assert "DROP SCHEMA swap CASCADE" in state["hint"]
    assert {"key", "identity", "disk"} <= {c["name"] for c in found}


def test_the_hints_can_be_followed(trap: str, database: Database, connect: Connect, cli: Cli, config: Path) -> None:
    """Another schema's name, or the intruder's dropped: then the run can begin."""
    config.write_text(f'{CONFIG}[names]\nstate_schema = "other"\n', encoding="utf-8")
    cli("plan", config=config, dsn=database.owner)
    connect(database.superuser).execute("DROP SCHEMA swap CASCADE")
    config.write_text(CONFIG, encoding="utf-8")
    cli("prepare", config=config, dsn=database.owner)
    assert cli("status", "--json", config=config, dsn=database.owner).json["phase"] == "prepared"


def test_the_sources_owner_is_believed(database: Database, cli: Cli, config: Path, synced: Synced) -> None:
    """A superuser looks at a run of the table's owner, after a cutover too: a view is set aside in the schema then."""
    m = synced(database, SCHEMA)
    m.verify()
    m.exchange("cutover")
    assert cli("status", "--json", config=config, dsn=database.superuser).json["phase"] == "cut_over"


def test_a_role_that_may_not_read_it(database: Database, cli: Cli, config: Path, synced: Synced) -> None:
    """The schema is believed, and closed to this role: the hint is the owner's name, not a grant of all that the owner may."""
    synced(database, SCHEMA)
    for command in ("status", "doctor"):
        result = cli(command, config=config, dsn=database.app, check=False)
        said = " ".join((result.stdout + result.stderr).split())
        assert result.code == 3, said
        assert "Connect as swap_owner" in said


def test_what_was_set_aside_keeps_its_owner(
    make_role: Callable[[], str], database: Database, connect: Connect, synced: Synced
) -> None:
    other = make_role()
    m = synced(database, SCHEMA)
    admin = connect(database.superuser)
    admin.execute(
        f"GRANT {other} TO swap_owner; GRANT CREATE ON SCHEMA public TO {other}; ALTER VIEW emails OWNER TO {other}".encode()
    )
    assert state_faults(m.conn, "swap", m.plan.source) == []
    admin.execute("ALTER VIEW emails RENAME TO emails_1_2; ALTER VIEW emails_1_2 SET SCHEMA swap")  # as swap.ddl.set_aside does
    assert state_faults(m.conn, "swap", m.plan.source) == []
    admin.execute("ALTER VIEW swap.emails_1_2 RENAME TO emails")
    assert [(f.kind, f.owner) for f in state_faults(m.conn, "swap", m.plan.source)] == [("object", other)]


FOREIGN = """
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; DROP TABLE swap.run;
CREATE FOREIGN TABLE swap.run (id bigint) SERVER s
"""
CAST = """
CREATE FUNCTION h(swap.phase) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE CAST (swap.phase AS int) WITH FUNCTION h(swap.phase)
"""
PLANTED = {
    "view": ("shape", "is a view", "ALTER TABLE swap.hook RENAME TO x; CREATE VIEW swap.hook AS SELECT 1 AS one"),
    "queue": ("shape", "is a view", "CREATE VIEW swap.a_1_changes_0 AS SELECT 1 AS one"),
    "foreign-table": ("shape", "is a foreign table", FOREIGN),
    "trigger": ("shape", "has the trigger t", "CREATE TRIGGER t AFTER INSERT ON swap.run FOR EACH STATEMENT EXECUTE FUNCTION f()"),
    "rule": ("shape", "has the rule r", "CREATE RULE r AS ON INSERT TO swap.event DO ALSO SELECT 1"),
    "row-security": ("shape", "has row security", "ALTER TABLE swap.run ENABLE ROW LEVEL SECURITY"),
    "generated": ("shape", "generated column g", "ALTER TABLE swap.step ADD g text GENERATED ALWAYS AS (name || 'x') STORED"),
    "domain": ("shape", "column mode of type", "CREATE DOMAIN swap.d AS text; ALTER TABLE swap.run ALTER mode TYPE swap.d"),
    "other-type": ("shape", "column mode of type character varying", "ALTER TABLE swap.run ALTER mode TYPE varchar"),
    "more-columns": ("shape", "column m of type", "CREATE DOMAIN swap.d AS text; ALTER TABLE swap.run ADD m swap.d"),
    "default": ("shape", "needs function public.g()", "ALTER TABLE swap.step ALTER name SET DEFAULT g()"),
    "index": ("shape", "of an expression", "CREATE INDEX ON swap.step ((g() || name))"),
    "partial-index": ("shape", "of an expression", "CREATE INDEX ON swap.step (name) WHERE g() = name"),
    "statistics": ("shape", "needs function public.g()", "CREATE STATISTICS swap.s ON (g() || name) FROM swap.step"),
    "check": ("shape", "has the check c", "ALTER TABLE swap.step ADD CONSTRAINT c CHECK (name <> g())"),
    "child": ("shape", "inherited from", "CREATE TABLE swap.more () INHERITS (swap.run)"),
    "cast": ("shape", "has the cast from", CAST),
    "unlogged": ("shape", "no ordinary table", "ALTER TABLE swap.hook SET UNLOGGED"),
    "function": ("object", "", "CREATE FUNCTION swap.x() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION swap.x OWNER TO {other}"),
    "table": ("object", "", "ALTER TABLE swap.run OWNER TO {other}"),
    "type": ("object", "", "ALTER TYPE swap.phase OWNER TO {other}"),
    "operator": ("object", "", "CREATE OPERATOR swap.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int); ALTER OPERATOR swap.=== (int, int) OWNER TO {other}"),
    "right": ("acl", "", "GRANT CREATE ON SCHEMA swap TO {other}"),
    "everybody": ("acl", "", "GRANT CREATE ON SCHEMA swap TO PUBLIC"),
}  # fmt: skip


def test_a_schema_of_our_own_is_looked_through(
    make_role: Callable[[], str], database: Database, connect: Connect, synced: Synced
) -> None:
    """Given a run, then whatever else than a plain table takes the place of what the journal reads is named; and what another
    role owns in the schema, or may make there."""
    other = make_role()
    m = synced(database, SCHEMA)
    m.conn.close()
    admin = connect(database.superuser)
    admin.execute("SET search_path = public; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    admin.execute("CREATE FUNCTION g() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$")
    with admin.transaction(force_rollback=True):  # a superuser's function needs no trick
        admin.execute(PLANTED["trigger"][2].encode())
        assert state_faults(admin, "swap", m.plan.source) == []
    admin.execute("ALTER FUNCTION f OWNER TO swap_owner")
    for name, (kind, detail, ddl) in PLANTED.items():
        with admin.transaction(force_rollback=True):
            admin.execute(ddl.format(other=other).encode())
            admin.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            found = state_faults(admin, "swap", m.plan.source)
            assert any(f.kind == kind and detail in str(f) for f in found), (name, found)
            assert not any(f"GRANT {other}" in trust.hint("swap", f) for f in found)
    assert state_faults(admin, "swap", m.plan.source) == []


def test_without_the_source_only_the_session_is_believed(database: Database, connect: Connect, synced: Synced) -> None:
    m = synced(database, SCHEMA)
    assert state_faults(m.conn, "swap", None) == []
    assert [f.kind for f in state_faults(connect(database.superuser), "swap", None)] == ["schema"]


def test_a_schema_that_comes_meanwhile(
    make_role: Callable[[], str], database: Database, connect: Connect, migrate: Migrate
) -> None:
    """Given no schema when it was looked for, and an intruder's a moment later, then nothing is put into it."""
    intruder = make_role()
    m = migrate(database, SCHEMA)
    m.conn.execute("DROP SCHEMA swap CASCADE")
    admin = connect(database.superuser)

    class Late(Journal):
        def exists(self) -> bool:
            there = super().exists()
            admin.execute(verbatim(f"CREATE SCHEMA swap AUTHORIZATION {intruder}"))
            return there

    with pytest.raises(RefusedError, match="was not made by this tool"):
        Late(m.conn, "swap", m.plan.source).create()
