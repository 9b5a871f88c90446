"""The privileges of the role before `prepare`: the hint of each blocker, run as superuser, fixes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swap.core.errors import RefusedError
from swap.doctor.examine import refuse
from tests.doctor.cases import IN_PLACE
from tests.support.doctoring import Tool, configured, named, only

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
    in_place = {"reference": [IN_PLACE]}
    assert named(tool.doctor(**in_place), "backfill-triggers", "blocker") == []
    tool.run(f"REVOKE SET ON PARAMETER session_replication_role FROM {tool.role}", superuser=True)
    found = named(tool.doctor(**in_place), "backfill-triggers", "blocker")
    assert [f.object for f in found] == ([f"public.{table}.touched"] if fires else [])
    if fires:
        accepted = {"findings": [found[0].label]}
        assert named(tool.doctor(accept=accepted, **in_place), "backfill-triggers", "blocker") == []
        refuse(found, configured(accept=accepted, **in_place))
        assert "accepted" in only(named(tool.doctor(accept=accepted, **in_place), "backfill-triggers", "warning")).detail


def test_an_always_enabled_trigger_fires_in_spite_of_the_privilege(tool: Tool) -> None:
    tool.run(TRIGGER.format(of="", table="sessions") + "ALTER TABLE sessions ENABLE ALWAYS TRIGGER touched")
    found = named(tool.doctor(reference=[IN_PLACE]), "backfill-triggers", "blocker")
    assert only(found).object == "public.sessions.touched"
    assert named(tool.doctor(), "backfill-triggers", "blocker") == []  # rebuilt beside: nothing of it is filled


def test_replication_by_membership(tool: Tool) -> None:
    """Amazon RDS and Aurora: a role cannot have the attribute. There the members of `rds_replication` use slots."""
    logical = {"sync": {"mode": "logical"}}
    tool.run(f"CREATE ROLE rds_replication; ALTER ROLE {tool.role} NOREPLICATION", superuser=True)
    try:
        (found,) = named(tool.doctor(**logical), "wal-level", "blocker")
        assert found.hint == f"GRANT rds_replication TO {tool.role};"
        tool.run(found.hint, superuser=True)
        assert named(tool.doctor(**logical), "wal-level", "blocker") == []
    finally:
        tool.run("DROP ROLE rds_replication", superuser=True)
