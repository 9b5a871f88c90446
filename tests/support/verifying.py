"""A copy of the example for each test, prepared and caught up, and a verification as the command runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.connection import Database as Target
from swap.core.names import TableName
from swap.core.report import Reporter, Silent
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping
from swap.state.journal import Journal, Run
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue
from tests.support.operator import Operator
from tests.support.servers import Database
from verify import snapshot_pass
from verify.ranges import KeyRange
from verify.report import Method, Report
from verify.run import verify
from verify.settings import MAX_DIFFERENCES, SNAPSHOT_MAX_S, VerificationSettings
from verify.workers import GiveUp, no_reason

AUDIT = """
[[reference]]
table = "public.audit_logs"
column = "actor_id"
where = "actor_type = 'User'"

[[reference]]
table = "public.user_roles"
column = "user_id"
strategy = "column"
"""
USERS = TableName("public", "users")
METHODS: tuple[Method, ...] = ("exact", "checksum")


@dataclass(frozen=True)
class Verified:
    """One test's database. `owner`: an autocommit session of the tables' owner, with its plain search_path."""

    db: Database
    owner: psycopg.Connection[Any]
    op: Operator

    def __call__(
        self,
        method: Method = "exact",
        *,
        jobs: int = 2,
        limit: int = MAX_DIFFERENCES,
        reporter: Reporter | None = None,
        snapshot_max_s: float = SNAPSHOT_MAX_S,
        standby: Target | None = None,
        give_up: GiveUp = no_reason,
    ) -> Report:
        settings = VerificationSettings(method, jobs, limit, snapshot_max_s, standby)
        with self.migration(reporter) as migration:
            return verify(migration, settings, give_up)

    @property
    def target(self) -> Target:
        return Target.from_options(self.db.owner, "verify")

    @contextmanager
    def migration(self, reporter: Reporter | None = None) -> Iterator[Migration]:
        """The migration, on a session of its own."""
        with self.session() as conn:
            journal = Journal(conn, "swap")
            run = journal.current(USERS)
            assert run is not None
            config = Config.model_validate({"source": {"table": str(USERS)}})
            yield Migration(self.target, conn, journal, run, config, reporter or Silent())

    def run(self) -> Run:
        with self.migration() as migration:
            return migration.run

    def session(self) -> closing[Connection]:
        return closing(self.target.connect("test"))

    def mapping(self) -> TableMapping:
        with self.migration() as migration:
            return migration.mapping


def entries_since(verified: Verified, snapshot: Snapshot) -> sql.Composed:
    """SELECT key FROM the change tables WHERE `snapshot` does not see the entry."""
    with verified.migration() as migration:
        return ChangeQueue.of(migration).due(snapshot, sql.SQL("c.key"))


class OnProgress(Silent):
    """A reporter that acts once, when the first range is done. It runs in the main thread: the workers go on meanwhile, and they
    may be done with all ranges. Use `before_range` where that matters."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        if self.act is not None:
            act, self.act = self.act, None
            act()


def before_range(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Act once, in the session that is about to compare the range `number` and has locked no table for it yet."""
    done = False

    def wrapped(compare: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*args: Any, r: KeyRange, **more: Any) -> Any:
            nonlocal done
            if r.number == number and not done:
                done = True
                act()
            return compare(*args, r=r, **more)

        return acting

    for name in ("compare_range", "digest_range"):
        monkeypatch.setattr(snapshot_pass, name, wrapped(getattr(snapshot_pass, name)))


PUBLISHED = "SELECT pubname, attnames::text[] FROM pg_publication_tables WHERE tablename = %s AND pubname ~ '^swap_'"


def without_triggers(verified: Verified, table: str, statement: sql.SQL | sql.Composed) -> None:
    """Run a statement without guards, which would reject or change it, and without capture."""
    on = sql.Identifier(table)
    names = verified.owner.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname ~ '^.?swap_'", [table]
    ).fetchall()
    for (name,) in names:
        verified.owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(on, sql.Identifier(name)))
    # Logical capture decodes a change by the publications at the moment of the change.
    published = verified.owner.execute(PUBLISHED, [table]).fetchall()
    for name, _ in published:
        verified.owner.execute(sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(sql.Identifier(name), on))
    verified.owner.execute(statement)
    for name, columns in published:
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        verified.owner.execute(sql.SQL("ALTER PUBLICATION {} ADD TABLE {} ({})").format(sql.Identifier(name), on, listed))
    for (name,) in names:
        verified.owner.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(on, sql.Identifier(name)))


def plain(report: Report) -> list[tuple[str, int | str, str, tuple[str, ...]]]:
    return [(f.table, f.shown, f.kind, f.columns) for f in report.findings]


def status_of(report: Report, check: str) -> str:
    return next(c.status for c in report.checks if c.name == check)


def failed(report: Report) -> set[str]:
    return {c.name for c in report.checks if c.status == "failed"}


def reason(report: Report) -> str:
    return next(c.detail for c in report.checks if c.name == "coverage")


# A `swap verify` of small ranges that is killed (SIGKILL) after its third range.
KILLED = """
import os, signal, sys
import verify.ranges
from verify.kept_ranges import KeptPart
verify.ranges.ROWS_PER_RANGE = verify.ranges.ROWS_PER_DIGEST = 40
finish, done = KeptPart.finish, []
def killed(*args):
    finish(*args)
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
KeptPart.finish = killed
from swap.__main__ import main
sys.exit(main())
"""


def killed_after_three_ranges(op: Operator) -> None:
    args = ["verify", "--config", str(op.config), "--dsn", op.db.owner, "--jobs", "1", "--json"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *args], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed
