"""A run under way is taken over by a newer swap, from the state that the older one left.

`version_N/PHASE.sql` is a dump of a small schema with a run in that phase, made with the last code that wrote version N: three
users of whom two have changed since the last replay. Times and transaction ids in it are small constants, so that they lie
before those of any server that it is restored into. From version 7 on the state says where it was recorded: the fixture says here. Up to version 4 the uuids are in a column of the source, and the reference is
filled in place; from version 6 on the uuids are derived, and both tables are rebuilt beside. Two things are as the run made them, and
not as pg_dump writes them: the condition of `swap_capture_moved`, whose casts the server does not print, and rights that are the default.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg import errors

from swap.core.connection import Database as Conninfo
from swap.core.errors import LockError, RefusedError
from swap.ddl.restore import current_functions
from swap.plan.model import PLAN
from swap.state import lock_rows, upgrade
from swap.state.journal import Journal
from swap.state.locks import Locks
from swap.state.origin import record_origin
from swap.state.plan_versions import Document
from swap.state.tables import SINCE
from swap.state.upgrade import LEGACY_LOCKS, STEPS, VERSION, UpgradeStep, current_plan, no_statements, read_version
from tests.support.commands import Cli
from tests.support.fixture_run import TEXT_VERSION
from tests.support.migration import ROLES
from tests.support.operator import Operator
from tests.support.servers import Connect, Database

HERE = Path(__file__).parent
PHASES = ["syncing", "cut_over"]
VERSIONS = [2, 3, 4, 6, 7]

pytestmark = [pytest.mark.trigger_only("the dumps are of runs that capture by triggers"), pytest.mark.sampled(2)]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=PHASES)
def phase(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def left(database: Database, version: int, phase: str) -> Database:
    """A database as that version left it."""
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        if conn.info.server_version // 10000 != TEXT_VERSION:
            pytest.skip(f"the recorded structure is that of PostgreSQL {TEXT_VERSION}")
        conn.execute(ROLES)
        conn.execute((HERE / f"version_{version}" / f"{phase}.sql").read_bytes())
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:  # the dump's session has no search_path
        conn.execute("ANALYZE")
    if version >= SINCE["origin"]:
        with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
            record_origin(Journal(conn, "swap"))
    return database


@pytest.fixture
def journal(left: Database, connect: Connect) -> Journal:
    return Journal(connect(left.owner), "swap")


def plans(journal: Journal) -> list[Document]:
    return [row[0] for row in journal.conn.execute("SELECT plan FROM swap.run ORDER BY id")]


def tag_of(journal: Journal) -> int:
    return int(plans(journal)[0]["catalog"]["source"]["oid"])


def test_a_run_under_way_is_taken_over(
    left: Database, journal: Journal, version: int, phase: str, cli: Cli, tmp_path: Path
) -> None:
    """Given the state of an older version, then what only reads leaves it alone; the first command that writes upgrades it, and
    the run goes on to its end."""
    op = Operator(cli, left, tmp_path, "\n")
    there, back = (("cutover", "--no-snapshot"), "revert") if phase == "syncing" else (("revert",), "cutover")
    status = op.status()
    assert (status["phase"], status["pending_changes"]) == (phase, 2)
    assert "run" in {c["name"] for c in op("doctor", check=False).json["checks"]}
    op("plan")
    op(*there, "--dry-run")
    assert read_version(journal.conn, "swap") == version

    assert op("sync", "--once").json["replayed"] == 2
    assert read_version(journal.conn, "swap") == VERSION
    assert op("verify").json["verdict"] == "identical"
    assert op(*there, "--yes").json["outcome"] == "committed"
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"
    op("finalize" if back == "revert" else "abort", "--yes")


def of_both(written: Any, read: Any) -> Any:
    """What was written, without the fields that were not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        return {k: of_both(v, read[k]) for k, v in written.items() if k in read}
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [of_both(w, r) for w, r in zip(written, read, strict=True)]
    return written


def test_every_field_of_a_plan_is_taken_over(journal: Journal, version: int) -> None:
    """A field that is missing has a default, and one that is not known is ignored: so the plan is written again, and compared. A
    field that came since, with a default, changes nothing of it."""
    (old,) = plans(journal)
    new = current_plan(old, version)
    assert of_both(json.loads(PLAN.dump_json(PLAN.validate_python(new))), new) == new
    journal.upgrade()
    assert plans(journal) == [new]


def test_a_step_is_there_whole_or_not_at_all(
    left: Database, journal: Journal, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I4: given a step that fails after one that did not, then the layout is that of the first; the next call goes on."""
    broken = psycopg.sql.SQL("SELECT 1 / 0")
    add = psycopg.sql.SQL("ALTER TABLE swap.run ADD added int")

    def more(document: Document) -> Document:
        return {**document, "added": True}

    def run(*last: Any) -> None:
        steps = (*STEPS, UpgradeStep(VERSION + 1, "a field more", lambda schema: [add, *last], more))
        monkeypatch.setattr(upgrade, "STEPS", steps)
        monkeypatch.setattr(upgrade, "VERSION", VERSION + 1)
        journal.upgrade()

    with pytest.raises(errors.DivisionByZero):
        run(broken)
    assert read_version(journal.conn, "swap") == VERSION
    assert "added" not in plans(journal)[0]
    run()
    assert read_version(journal.conn, "swap") == VERSION + 1
    assert plans(journal)[0]["added"] is True
    with (
        closing(Conninfo.from_options(left.owner, "sync").connect()) as other,
        Locks(other, "swap", tag_of(journal)).only_worker(),
    ):
        assert journal.upgrade() == []  # what is current needs no lock
        monkeypatch.setattr(upgrade, "STEPS", (*upgrade.STEPS, UpgradeStep(VERSION + 2, "one more", no_statements, more)))
        monkeypatch.setattr(upgrade, "VERSION", VERSION + 2)
        with pytest.raises(RefusedError, match="swap sync, pid"):
            journal.upgrade()
    assert [s.to_version for s in journal.upgrade()] == [VERSION + 2]


@pytest.mark.parametrize("version", [v for v in VERSIONS if v < SINCE["lock"]])
@pytest.mark.parametrize("lock", LEGACY_LOCKS)
@pytest.mark.parametrize("role", ["owner", "superuser", "app"])
def test_not_while_another_command_is_at_work(
    left: Database, journal: Journal, version: int, lock: int, role: Literal["owner", "superuser", "app"]
) -> None:
    """A process of the older version could not go on with the new layout. It holds advisory locks, which anybody can take: a role
    that cannot be such a process is none."""
    steps = [s.to_version for s in STEPS if s.to_version > version]
    with closing(Conninfo.from_options(getattr(left, role), "sync").connect()) as other:
        other.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [lock, tag_of(journal)])
        if role == "app":
            assert [s.to_version for s in journal.upgrade()] == steps
            return
        with pytest.raises(RefusedError, match="swap sync, pid"):
            journal.upgrade()
    assert read_version(journal.conn, "swap") == version
    assert [s.to_version for s in journal.upgrade()] == steps


def test_an_upgrade_waits_for_the_journal_within_a_limit(
    left: Database, journal: Journal, connect: Connect, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_rows, "TABLE_WAIT_MS", 100)
    holder = connect(left.superuser, autocommit=False)
    holder.execute("LOCK TABLE swap.run IN ROW EXCLUSIVE MODE")
    with pytest.raises(LockError, match=f"swap.run was not free .*pid {holder.info.backend_pid} "):
        journal.upgrade()
    holder.rollback()
    assert read_version(journal.conn, "swap") == version
    assert journal.upgrade()


GRANTED = """
SELECT object, grantee::regrole::text, privilege_type FROM (
    SELECT c.oid::regclass::text AS object, c.relacl AS acl FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'swap'::regnamespace
    UNION ALL
    SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p WHERE p.pronamespace = 'swap'::regnamespace
) o, aclexplode(o.acl) WHERE grantee = ANY (ARRAY[0, 'app'::regrole::oid])
"""


@pytest.mark.parametrize("version", [2, 3])
def test_what_an_older_version_granted(left: Database, journal: Journal, connect: Connect) -> None:
    """Given functions and rights of before version 4, then the first command that writes takes the rights, and replaces the
    functions by those that work for their own table alone. (The application's view that stands there meanwhile keeps its rights.)"""
    admin = connect(left.superuser)
    admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA swap TO app; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA swap TO PUBLIC")
    journal.upgrade(current_functions)
    assert admin.execute(GRANTED).fetchall() == []
    sources = admin.execute("SELECT prosrc FROM pg_proc WHERE proname LIKE '%capture%'").fetchall()
    assert sources
    assert all("belongs to" in source for (source,) in sources)


@pytest.mark.parametrize(("comment", "named"), [(VERSION + 1, str(VERSION + 1)), (1, "version 1"), ("x", "version x")])
def test_a_version_that_is_not_known_is_refused(database: Database, connect: Connect, comment: Any, named: str) -> None:
    conn = connect(database.superuser)
    conn.execute(f"CREATE SCHEMA swap; COMMENT ON SCHEMA swap IS '{upgrade.MARK}, version {comment}'".encode())
    with pytest.raises(RefusedError) as refused:
        Journal(conn, "swap").exists()
    assert refused.value.exit_code == 3
    assert named in refused.value.message
    assert str(VERSION) in (refused.value.hint or "")


def test_the_versions_follow_each_other() -> None:
    assert [s.to_version for s in STEPS] == list(range(upgrade.FIRST + 1, VERSION + 1))
    assert all(s.why and s.statements is not None for s in STEPS)
    assert no_statements("swap") == []
