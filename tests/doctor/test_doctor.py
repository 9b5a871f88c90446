"""`doctor` finds each obstacle by name, on a real server, and changes nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import swap.doctor
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.core.errors import ExitCode, LockError, RefusedError, UsageError
from swap.doctor import look_alikes as lookalikes
from swap.doctor.disk import check_disk
from swap.doctor.examine import examine, refuse
from swap.doctor.finding import Finding, blocker
from swap.doctor.look_alike_names import names_class, names_source, singular
from swap.doctor.server import check_session, check_version, check_wal, read_server
from swap.state.journal import Journal, Phase
from tests.doctor.cases import BASE, CASES, DOCUMENTS, Case
from tests.support.dump import schema_dump
from tests.support.migration import allow_replication
from tests.support.mode import Mode, current_mode, with_mode
from tests.support.servers import Database, DatabaseServer, ExampleFactory, Execute

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Tool:
    """A database with BASE. A role that is no superuser owns it."""

    role: str
    dbname: str
    conninfo: str
    superuser: str

    def connect(self) -> Connection:
        return Conninfo.from_options(self.conninfo, "doctor").connect()

    def run(self, statements: str, *, superuser: bool = False) -> None:
        with closing(psycopg.connect(self.superuser if superuser else self.conninfo, autocommit=True)) as conn:
            conn.execute(statements.encode())

    def doctor(self, **config: Any) -> list[Finding]:
        with closing(self.connect()) as conn:
            return examine(conn, configured(**config))


def configured(**config: Any) -> Config:
    return Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})


def named(findings: list[Finding], name: str, status: str | None = None) -> list[Finding]:
    return [f for f in findings if f.name == name and status in (None, f.status)]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def blockers(findings: list[Finding]) -> list[str]:
    return [f.label for f in findings if f.status == "blocker"]


@pytest.fixture
def make_role(admin: Execute) -> Iterator[Callable[[], str]]:
    """Factory: a login role without rights. It is dropped after the test's databases."""
    made = []

    def make() -> str:
        made.append(f"tool_{next(NUMBERS)}")
        admin(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(made[-1])))
        return made[-1]

    yield make
    for name in made:
        admin(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    for name in made:
        admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def tool(make_role: Callable[[], str], admin: Execute, server: DatabaseServer, database: Database) -> Tool:
    """A tool with every privilege that it needs."""
    role = make_role()
    made = Tool(role, database.dbname, server.conninfo(database.dbname, role), database.superuser)
    made.run(
        f"""GRANT CREATE ON DATABASE {database.dbname} TO {role}; GRANT ALL ON SCHEMA public TO {role};
            GRANT SET ON PARAMETER session_replication_role TO {role};
            DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$""",
        superuser=True,
    )
    if current_mode() == "logical":
        made.run(f"ALTER ROLE {role} REPLICATION", superuser=True)
    made.run(BASE)
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.id}")
def test_finds(case: Case, tool: Tool) -> None:
    """H15, H16, H19, H22 to H32: each is found by name, with a remedy, and refused if it is a blocker."""
    plain, _, superuser = case.setup.partition("-- superuser\n")
    for statements, privileged in ((plain, False), (superuser, True)):
        if statements.strip():
            tool.run(statements, superuser=privileged)
    findings = tool.doctor(**case.config)
    schema = "" if case.object in ("swap", "database") or "(" in case.object or " " in case.object else "public."
    match = [f for f in findings if f.name == case.name and f.object.replace("public.", "") == case.object]
    match = [f for f in match if f.status == case.status and case.said in f.detail]
    assert match, "\n".join(map(str, findings))
    assert match[0].object.startswith(schema)
    if case.status == "blocker":
        assert match[0].hint
        with pytest.raises(RefusedError):
            refuse(findings, configured(**case.config))
    else:
        assert blockers(findings) == []


@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_the_example_has_no_blocker(variant: Any, example: ExampleFactory, server: DatabaseServer) -> None:
    """The role is the owner and no superuser. `doctor` changes nothing, not even the schema's text."""
    database = example(variant, users=200)
    if current_mode() == "logical":
        allow_replication(database)
    before = schema_dump(server, database.dbname)
    with closing(Conninfo.from_options(database.owner, "doctor").connect()) as conn:
        findings = examine(conn, configured())
    assert blockers(findings) == []
    refuse(findings, configured())
    assert only(named(findings, "look-alike")).object == "public.audit_logs.actor_id"
    assert {f.object for f in named(findings, "reference", "ok")} == {
        "public.api_access_tokens.user_id", "public.partner_applications.created_by_user_id",
        "public.sessions.user_id", "public.user_roles.user_id", "public.users.invited_by_id",
    }  # fmt: skip
    assert schema_dump(server, database.dbname) == before


def test_every_check_says_something(tool: Tool, capture_mode: Mode) -> None:
    names = Counter(f.name for f in tool.doctor())
    assert set(names) - ({"logical-capture"} if capture_mode == "logical" else set()) == {
        "server-version", "connection", "database-privileges", "wal-level", "statistics-visible", "long-transactions",
        "prepared-transactions", "event-triggers", "settings", "snapshot-hook", "state-schema", "key", "identity",
        "tables", "ownership", "schema-privileges", "target-privileges", "attached-privileges", "row-security",
        "backfill-triggers", "identity-sequence", "publication", "subscription", "reference", "index", "exclusion", "names", "dependents", "census", "disk", "lock-table",
        "identity-data", "reference-data", "not-valid", "look-alike",
    }  # fmt: skip


def test_an_unknown_source_is_a_usage_error(tool: Tool) -> None:
    with pytest.raises(UsageError, match=r"no table public\.nobody"):
        tool.doctor(source={"table": "public.nobody"})


# Privileges: the hint of each blocker, run as superuser, fixes it.

OTHERS = "ALTER TABLE {table} OWNER TO {other}"
PRIVILEGES = {
    "database-create": ("REVOKE CREATE ON DATABASE {db} FROM {role}", "database-privileges", "{db}"),
    "database-temp": ("REVOKE TEMP ON DATABASE {db} FROM PUBLIC", "database-privileges", "{db}"),
    "source-owner": (OTHERS.format(table="users", other="{other}"), "ownership", "public.users"),
    "reference-owner": (OTHERS.format(table="sessions", other="{other}"), "ownership", "public.sessions"),
    "view-owner": ("CREATE VIEW v AS SELECT id FROM users; ALTER VIEW v OWNER TO {other}", "ownership", "public.v"),
    "schema-create": ("REVOKE CREATE ON SCHEMA public FROM {role}", "schema-privileges", "public"),
    "owner-schema-create": (
        ("GRANT {other} TO {role}; ALTER TABLE users OWNER TO {other}; ALTER TABLE sessions OWNER TO {other};"
        "REVOKE ALL ON SCHEMA public FROM {other}"),
        "schema-privileges", "public",
    ),
    "target-references": (
        ("CREATE TABLE orgs (id bigint PRIMARY KEY); GRANT TRUNCATE ON orgs TO {role};"
        "ALTER TABLE users ADD org_id bigint REFERENCES orgs"),
        "target-privileges", "public.orgs",
    ),
    "target-lock": (
        ("CREATE TABLE orgs (id bigint PRIMARY KEY); GRANT REFERENCES ON orgs TO {role};"
        "ALTER TABLE users ADD org_id bigint REFERENCES orgs"),
        "target-privileges", "public.orgs",
    ),
    "type": (
        "CREATE TYPE mood AS ENUM ('sad'); REVOKE ALL ON TYPE mood FROM PUBLIC; ALTER TABLE users ADD m mood",
        "attached-privileges", "public.mood",
    ),
    "trigger-function": (
        ("CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; REVOKE ALL ON FUNCTION tf() FROM PUBLIC;"
        "CREATE TRIGGER tr AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION tf()"),
        "attached-privileges", "public.tf()",
    ),
    "shared-sequence": (
        "CREATE SEQUENCE shared; ALTER TABLE users ALTER id SET DEFAULT nextval('public.shared')",
        "attached-privileges", "public.shared",
    ),
    "row-security-forced": ("ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "row-security", "public.users"),
    "row-security-reference": ("ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "row-security", "public.sessions"),
    "replication": ("ALTER ROLE {role} NOREPLICATION", "wal-level", "{role}"),
}  # fmt: skip


@pytest.mark.parametrize("case", PRIVILEGES)
def test_a_missing_privilege_is_named_with_the_statement_that_mends_it(
    case: str, make_role: Callable[[], str], tool: Tool
) -> None:
    setup, name, object_ = PRIVILEGES[case]
    words = {"db": tool.dbname, "role": tool.role, "other": make_role()}
    tool.run(setup.format(**words), superuser=True)
    config: dict[str, Any] = {"sync": {"mode": "logical"}} if case == "replication" else {}
    found = only([f for f in named(tool.doctor(**config), name, "blocker") if f.object == object_.format(**words)])
    with pytest.raises(RefusedError) as raised:  # `prepare` says the same
        refuse([found], configured(**config))
    assert raised.value.hint.startswith(found.hint.partition(";")[0])
    tool.run(found.hint.partition(";")[0], superuser=True)
    assert named(tool.doctor(**config), name, "blocker") == []


def test_row_security_of_a_table_of_another_owner(tool: Tool, make_role: Callable[[], str]) -> None:
    """H16: with SELECT the role can read, and every comparison of the visible rows would find no difference."""
    other = make_role()
    tool.run(
        f"ALTER TABLE sessions OWNER TO {other}; ALTER TABLE sessions ENABLE ROW LEVEL SECURITY; GRANT SELECT ON sessions TO {tool.role}",
        superuser=True,
    )
    found = only(named(tool.doctor(), "row-security", "blocker"))
    assert (found.object, found.hint) == ("public.sessions", f"ALTER ROLE {tool.role} BYPASSRLS;")


TRIGGER = """CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER touched BEFORE UPDATE {of} ON {table} FOR EACH ROW EXECUTE FUNCTION touch();"""


@pytest.mark.parametrize(
    ("of", "table", "extra", "fires"),
    [
        ("", "sessions", "", True),
        ("", "sessions", "ALTER TABLE sessions DISABLE TRIGGER touched", False),
        ("OF id", "sessions", "", False),
        ("", "users", "", False),  # its identity column is complete: nothing is filled
        ("", "users", "ALTER TABLE users ALTER uuid_id DROP NOT NULL", True),
    ],
)
def test_triggers_that_a_backfill_would_fire_can_be_accepted(of: str, table: str, extra: str, fires: bool, tool: Tool) -> None:
    """H14: without SET on session_replication_role they fire for every row; with it none of them does."""
    tool.run(TRIGGER.format(of=of, table=table) + extra)
    assert named(tool.doctor(), "backfill-triggers", "blocker") == []
    tool.run(f"REVOKE SET ON PARAMETER session_replication_role FROM {tool.role}", superuser=True)
    found = named(tool.doctor(), "backfill-triggers", "blocker")
    assert [f.object for f in found] == ([f"public.{table}.touched"] if fires else [])
    if fires:
        accepted = {"findings": [found[0].label]}
        assert named(tool.doctor(accept=accepted), "backfill-triggers", "blocker") == []
        refuse(found, configured(accept=accepted))
        assert "accepted" in only(named(tool.doctor(accept=accepted), "backfill-triggers", "warning")).detail


def test_an_always_enabled_trigger_fires_in_spite_of_the_privilege(tool: Tool) -> None:
    tool.run(TRIGGER.format(of="", table="sessions") + "ALTER TABLE sessions ENABLE ALWAYS TRIGGER touched")
    assert only(named(tool.doctor(), "backfill-triggers", "blocker")).object == "public.sessions.touched"


# Accepting and refusing.


def test_only_what_is_acceptable_can_be_accepted(tool: Tool) -> None:
    tool.run("CREATE TABLE users_new ()")
    accept = {"findings": ["names:public.users_new", "index:public.nothing"]}
    findings = tool.doctor(accept=accept)
    assert blockers(findings) == ["names:public.users_new"]
    assert "cannot be accepted" in only(named(findings, "names")).hint
    assert only(named(findings, "accept")).object == "index:public.nothing"


def test_refusal_names_every_blocker() -> None:
    found = [blocker("key", f"public.t{n}", "is wrong", "Mend it.") for n in range(3)]
    with pytest.raises(
        RefusedError, match=r"key: public\.t0: is wrong\. And 2 more blockers: key:public\.t1, key:public\.t2\."
    ) as raised:
        refuse(found, configured())
    assert raised.value.exit_code == ExitCode.REFUSED
    assert raised.value.hint.startswith("Mend it.")


# The server, and other sessions.


def test_versions() -> None:
    assert [check_version(v).status for v in (140012, 150000, 180006, 190000)] == ["blocker", "ok", "ok", "warning"]


def test_a_pooler_a_standby_and_a_wal_level_are_recognised(tool: Tool) -> None:
    with closing(tool.connect()) as conn:
        server = read_server(conn)
        assert [f.status for f in check_session(server, conn.info.backend_pid)] == ["ok"]
    pooled = only(check_session(server, server.backend_pid + 1))
    assert (pooled.status, pooled.acceptable) == ("blocker", True)
    assert only(check_session(server._replace(standby=True), server.backend_pid)).status == "blocker"
    logical = configured(sync={"mode": "logical"})
    low = server._replace(wal_level="replica", may_replicate=True, slots_used=server.slots_max)
    found = check_wal(low, logical, slot_exists=False)
    assert [f.name for f in found] == ["wal-level", "wal-level"]
    assert "replica" in check_wal(low, logical, slot_exists=True)[0].detail
    assert only(check_wal(low, configured(sync={"mode": "trigger"}), slot_exists=False)).status == "ok"


def test_disk() -> None:
    gb = 1024**3
    assert [check_disk(10 * gb, free).status for free in (None, 5 * gb, 15 * gb, 50 * gb)] == [
        "warning",
        "blocker",
        "warning",
        "ok",
    ]
    assert "about 10 GB needed" in check_disk(10 * gb, 5 * gb).detail


def test_disk_is_seen_by_a_local_role_that_may(tool: Tool) -> None:
    tool.run(f"GRANT pg_read_all_settings TO {tool.role}", superuser=True)
    assert "are free" in only(named(tool.doctor(), "disk")).detail


def test_prepared_and_long_transactions_are_named(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """H34: both hold locks, and no timeout ends them."""
    monkeypatch.setattr("swap.doctor.server.LONG_TRANSACTION_S", 0)
    tool.run(f"GRANT pg_read_all_stats TO {tool.role}", superuser=True)
    with closing(psycopg.connect(tool.conninfo)) as conn:
        conn.execute("SELECT 1")
        tool.run("BEGIN; INSERT INTO users (email) VALUES ('late'); PREPARE TRANSACTION 'it''s'")
        pid = conn.info.backend_pid
        findings = tool.doctor()
    found = only([f for f in named(findings, "long-transactions") if f.object == f"pid {pid}"])
    assert found.status == "warning"
    assert f"pg_terminate_backend({pid})" in found.hint
    prepared = only(named(findings, "prepared-transactions"))
    assert (prepared.status, prepared.object) == ("warning", "it's")
    tool.run(prepared.hint.rpartition("or ")[2])
    assert only(named(tool.doctor(), "prepared-transactions")).status == "ok"


def test_event_triggers_and_overridden_settings(tool: Tool) -> None:
    """H18, H32."""
    tool.run(
        f"""CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
            CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION ev();
            ALTER ROLE {tool.role} SET statement_timeout = '1ms'; ALTER ROLE {tool.role} SET default_transaction_read_only = on""",
        superuser=True,
    )
    findings = tool.doctor()
    assert only(named(findings, "event-triggers", "warning")).object == "watcher"
    assert "statement_timeout=1ms" in only(named(findings, "settings")).detail
    assert blockers(findings) == []


def test_ending_blockers_needs_its_role(tool: Tool) -> None:
    found = named(tool.doctor(cutover={"kill_blockers": "all"}), "statistics-visible", "warning")
    assert any("kill_blockers" in f.detail for f in found)
    tool.run(f"GRANT pg_signal_backend, pg_read_all_stats TO {tool.role}", superuser=True)
    assert only(named(tool.doctor(cutover={"kill_blockers": "all"}), "statistics-visible")).status == "ok"


def test_uuidv7_needs_a_server_that_has_it(tool: Tool) -> None:
    found = only(named(tool.doctor(identity={"column": "fresh", "generate": "uuidv7"}), "identity"))
    with closing(tool.connect()) as conn:
        assert found.status == ("ok" if conn.info.server_version >= 180000 else "blocker")


def test_a_scan_that_does_not_end_is_said(tool: Tool) -> None:
    tool.run("CREATE TABLE logs (actor_id bigint); INSERT INTO logs VALUES (1)")
    declared = configured(reference=[{"table": "public.logs", "column": "actor_id", "where": "pg_sleep(60) IS NOT NULL"}])
    with closing(tool.connect()) as conn:
        findings = examine(conn, declared, scan_timeout_ms=100)
    found = only(named(findings, "reference-data"))
    assert (found.status, found.object, found.detail) == ("warning", "public.logs.actor_id", "not checked within 0.1 s")


def test_a_where_cannot_write(tool: Tool) -> None:
    """The scans are read-only: a condition with a side effect is an error, not a change."""
    tool.run("CREATE TABLE logs (actor_id bigint); INSERT INTO logs VALUES (1); CREATE SEQUENCE seen")
    findings = tool.doctor(reference=[{"table": "public.logs", "column": "actor_id", "where": "nextval('public.seen') > 0"}])
    assert "read-only" in only(named(findings, "reference-where")).detail


def test_a_locked_table_is_not_waited_for(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2; afterwards the session has its own setting again."""
    monkeypatch.setattr("swap.doctor.examine.LOCK_WAIT_MS", 100)
    with closing(psycopg.connect(tool.conninfo)) as other, closing(tool.connect()) as conn:
        other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LockError, match="could not be read"):
            examine(conn, configured())
        assert conn.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_hook_is_missed(tool: Tool) -> None:
    assert only(named(tool.doctor(), "snapshot-hook")).status == "warning"
    assert only(named(tool.doctor(hooks={"pre_swap_snapshot": ["./x.sh"]}), "snapshot-hook")).status == "ok"


# While a run exists.


def with_run(tool: Tool, phase: Phase) -> None:
    from swap.catalog.load import load_catalog
    from swap.plan.planner import make_plan
    from swap.plan.references import reference_columns

    with closing(tool.connect()) as conn:
        config = configured()
        catalog = load_catalog(conn, config.source.name)
        journal = Journal(conn, "swap")
        journal.create()
        run = journal.add_run(make_plan(catalog, config, reference_columns(catalog, config), {}), config.sync.mode)
        journal.update_run(run.id, phase=phase.value)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_run_of_this_source_owns_the_names(phase: Phase, tool: Tool) -> None:
    with_run(tool, phase)
    tool.run("CREATE TABLE users_new (); ALTER TABLE users ADD legacy_id bigint")
    findings = tool.doctor()
    assert phase.value.replace("_", " ") in only(named(findings, "run")).detail
    assert bool(blockers(findings)) == (phase is Phase.ABORTED)
    assert named(findings, "connection", "ok")


def test_a_state_schema_of_another_role(tool: Tool, make_role: Callable[[], str]) -> None:
    with_run(tool, Phase.SYNCING)
    other = make_role()
    tool.run(f"ALTER SCHEMA swap OWNER TO {other}", superuser=True)
    found = only(named(tool.doctor(), "state-schema", "blocker"))
    assert found.hint == f"GRANT {other} TO {tool.role};"


# Hostile names.


def test_hostile_names(tool: Tool) -> None:
    """Quotes, percent signs, braces and dots in every name break no statement, and the findings print them."""
    tool.run(
        """CREATE SCHEMA "s %s.{x}"; CREATE TABLE "s %s.{x}"."us""er%(a)s" ("i""d %" bigserial PRIMARY KEY, "u {0}" uuid);
           CREATE TABLE "re%f" ("i""d %" bigint REFERENCES "s %s.{x}"."us""er%(a)s" PRIMARY KEY, "%s_uuid" uuid);
           CREATE INDEX "x%" ON "re%f" (("i""d %" + 1)); CREATE TABLE "look%" ("us""er%(a)s_id" bigint, "a%_type" text, "a%_id" bigint)"""
    )
    source = '"s %s.{x}"."us""er%(a)s"'
    findings = tool.doctor(source={"table": source, "key": 'i"d %'}, identity={"column": "u {0}"})
    assert blockers(findings) == ['index:public."x%"']
    assert any(f.object == 'public."look%"."us""er%(a)s_id"' for f in named(findings, "look-alike"))


def test_partitions_are_listed_once_and_documents_by_path(tool: Tool) -> None:
    """H24: not each partition, no views, and nothing below the third level of a document."""
    tool.run(
        DOCUMENTS
        + """; CREATE TABLE p (user_id int, d jsonb) PARTITION BY RANGE (user_id); CREATE TABLE p1 PARTITION OF p DEFAULT;
        INSERT INTO p VALUES (1, '{"user_id": 1}'); CREATE VIEW v AS SELECT * FROM p; CREATE MATERIALIZED VIEW m AS SELECT * FROM p"""
    )
    assert {f.object for f in named(tool.doctor(), "look-alike")} == {
        "public.a.d.user_id", "public.a.d.session.\"userId\"", "public.a.d.deep.er.user_id", "public.a.d.user_ids",
        "public.a.d.items.user_id", 'public.a.d."Odd key".user_id', "public.p.user_id", "public.p.d.user_id",
    }  # fmt: skip


def test_samples_together_are_bounded_in_time(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """H24: when the time for all samples is over, the rest is listed as not checked."""
    monkeypatch.setattr(lookalikes, "ALL_SAMPLES_S", -1.0)
    tool.run("CREATE TABLE a (author_id bigint, watchers int[], d jsonb)")
    found = {f.object: f.detail for f in named(tool.doctor(), "look-alike")}
    assert set(found) == {"public.a.author_id", "public.a.watchers", "public.a.d"}
    assert all("all samples together" in detail for detail in found.values())


# Names of look-alikes: pure.


@pytest.mark.parametrize(
    ("plural", "one"),
    [("users", "user"), ("companies", "company"), ("addresses", "address"), ("boxes", "box"), ("statuses", "status"),
     ("people", "person"), ("user_people", "user_person"), ("staff", "staff"), ("news", "new"), ("gas", "ga")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_names_after_a_table() -> None:
    yes = ["user_id", "created_by_user_id", "userId", "ownerUserId", "userid", "users_id", "USER_ID"]
    no = ["id", "superuser", "user", "user_type", "reuser_id", "organization_id", "user_ids"]
    assert [c for c in yes + no if names_source(c, "users", "id")] == yes
    assert names_class("App\\Models\\User", "users")
    assert names_class("user", "users")
    assert not names_class("SuperUser", "users")
    assert names_source("person_no", "people", "no")


def test_sql_lives_in_files() -> None:
    """The modules of doctor hold no query: those are in .sql files."""
    modules = list(Path(swap.doctor.__path__[0]).glob("*.py"))
    assert modules
    for path in modules:
        assert 'sql.SQL("SELECT' not in path.read_text(), path.name
