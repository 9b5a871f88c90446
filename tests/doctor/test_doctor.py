"""`doctor` finds each obstacle by name, on a real server, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import swap.doctor
from swap.core.connection import Database as Conninfo
from swap.core.errors import ExitCode, RefusedError, UsageError
from swap.doctor.examine import examine, refuse
from swap.doctor.finding import blocker
from swap.state.journal import Journal, Phase
from tests.doctor.cases import CASES, Case
from tests.support.doctoring import Tool, blockers, configured, named, only
from tests.support.dump import schema_dump
from tests.support.migration import allow_replication
from tests.support.mode import Mode, current_mode
from tests.support.servers import DatabaseServer, ExampleFactory


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
        "identity-data", "reference-data", "not-valid", "exact-reads", "expressions", "look-alike", "table-mention", "sequence",
    }  # fmt: skip


def test_an_unknown_source_is_a_usage_error(tool: Tool) -> None:
    with pytest.raises(UsageError, match=r"no table public\.nobody"):
        tool.doctor(source={"table": "public.nobody"})


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
        run = journal.add_run(make_plan(catalog, config, reference_columns(catalog, config)), config.sync.mode)
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
    assert f"the schema swap belongs to {other}" in found.detail
    assert "GRANT" not in found.hint  # a member of an intruder's is no safer


# Hostile names.


def test_hostile_names(tool: Tool) -> None:
    """Quotes, percent signs, braces and dots in every name break no statement, and the findings print them."""
    tool.run(
        """CREATE SCHEMA "s %s.{x}"; CREATE TABLE "s %s.{x}"."us""er%(a)s" ("i""d %" bigserial PRIMARY KEY, "u {0}" uuid);
           CREATE TABLE "re%f" ("i""d %" bigint REFERENCES "s %s.{x}"."us""er%(a)s" PRIMARY KEY, "%s_uuid" uuid);
           CREATE UNIQUE INDEX "x%" ON "re%f" (("i""d %" + 1)); CREATE TABLE "look%" ("us""er%(a)s_id" bigint, "a%_type" text, "a%_id" bigint)"""
    )
    source = '"s %s.{x}"."us""er%(a)s"'
    findings = tool.doctor(source={"table": source, "key": 'i"d %'}, identity={"column": "u {0}"})
    assert blockers(findings) == ['index:public."x%"']
    assert any(f.object == 'public."look%"."us""er%(a)s_id"' for f in named(findings, "look-alike"))


def test_sql_lives_in_files() -> None:
    """The modules of doctor hold no query: those are in .sql files."""
    modules = list(Path(swap.doctor.__path__[0]).glob("*.py"))
    assert modules
    for path in modules:
        assert 'sql.SQL("SELECT' not in path.read_text(), path.name
