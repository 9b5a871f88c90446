"""Used by all measurements: the server, example databases that are made once and cloned, and `swap` as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from swap.core.config import load_config
from swap.core.connection import Database
from swap.core.names import TableName
from swap.demo.app import OWNER, Variant, install
from swap.demo.server import Server
from swap.state.journal import Journal, Run
from swap.state.migration import Migration

ROOT = Path(__file__).resolve().parent.parent
# The same for both sides of every ratio. Autovacuum is off, since it runs at any time; VACUUM and ANALYZE are run explicitly.
SETTINGS = {
    "shared_buffers": "2GB",  # a million users fit into it, on both sides
    "maintenance_work_mem": "256MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
REFERENCES = ("sessions", "api_access_tokens", "partner_applications", "user_roles", "audit_logs")
SMALL = 1000  # rows that stay in each reference where only users is to be large
STATE = "swap"
REAPED_S = 5.0
USERS = TableName("public", "users")

Rows = list[tuple[Any, ...]]


class CommandFailedError(RuntimeError):
    """A command of `swap` failed. The message ends with its output."""


@dataclass(frozen=True)
class Finished:
    """A command that ended with 0: its wall time, its document (--json), and its peak memory where that was measured."""

    seconds: float
    document: dict[str, Any]
    peak_mib: float = 0.0


@dataclass
class Meter:
    """Wall time, and the processor time of the server and of the client's process, if there was one. Processor time does not depend on
    what else the machine does."""

    seconds: float = 0.0
    cpu: float = 0.0


@dataclass
class Example:
    """One example database and its swap.toml."""

    server: Server
    name: str
    directory: Path

    @property
    def owner(self) -> str:
        return self.server.conninfo(self.name, user=OWNER)

    @property
    def app(self) -> str:
        return self.server.conninfo(self.name, user="app")

    @property
    def superuser(self) -> str:
        return self.server.conninfo(self.name)

    @property
    def config(self) -> Path:
        return self.directory / f"{self.name}.toml"

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))}
        return kept | {"PYTHONPATH": str(ROOT), "SWAP_DSN": self.owner, "SWAP_CONFIG": str(self.config)}

    def swap(self, *args: str, memory: bool = False) -> Finished:
        """Run one command with --json. Raises CommandFailedError."""
        command = [sys.executable, "-m", "swap", *args, "--json"]
        peak = self.directory / "peak"
        if memory:
            command = [sys.executable, "-I", "-S", str(ROOT / "bench" / "rusage.py"), str(peak), *command]
        began = time.perf_counter()
        done = subprocess.run(command, env=self.environment, cwd=self.directory, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise CommandFailedError(f"swap {' '.join(args)} ended with {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
        document = json.loads(done.stdout) if done.stdout else {}
        return Finished(seconds, document, int(peak.read_text()) / 1024 if memory else 0.0)

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Run `swap sync` in the background during the block; SIGTERM stops it."""
        with (self.directory / f"{self.name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "swap", "sync"], env=self.environment, cwd=self.directory, stdout=log, stderr=log
            )
            try:
                yield
                if process.poll() is not None:
                    raise CommandFailedError(f"swap sync ended with {process.returncode}\n{Path(log.name).read_text()}"[-4000:])
            finally:
                process.terminate()
                process.wait(timeout=120)

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A superuser's autocommit session."""
        with psycopg.connect(self.superuser, autocommit=True) as conn:
            yield conn

    def execute(self, *statements: sql.SQL | sql.Composed) -> Rows:
        """Run statements one by one, each in a transaction of its own, so VACUUM and CREATE DATABASE too. Returns the rows of the last
        one."""
        rows: Rows = []
        with self.session() as conn:
            for statement in statements:
                cursor = conn.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        return rows

    @contextmanager
    def metered(self) -> Iterator[Meter]:
        """Measure the block. It must leave no session open: a parent counts the time of a process only when that has ended."""
        meter = Meter()
        before = set(psutil.Process(self.server.pid).children())
        cpu, began = _processor_seconds(self.server), time.perf_counter()
        yield meter
        meter.seconds = time.perf_counter() - began
        deadline = time.monotonic() + REAPED_S
        while not before.issuperset(psutil.Process(self.server.pid).children()) and time.monotonic() < deadline:
            time.sleep(0.005)
        meter.cpu = _processor_seconds(self.server) - cpu

    @property
    def database(self) -> Database:
        """As the commands connect, for measurements that call their functions."""
        return Database.from_options(self.owner, "bench")

    def current_run(self, conn: psycopg.Connection[tuple[Any, ...]]) -> Run:
        return self.migration(conn).run

    def migration(self, conn: psycopg.Connection[tuple[Any, ...]]) -> Migration:
        """On `conn`, for measurements that call their functions."""
        journal = Journal(conn, STATE)
        run = journal.current(USERS)
        assert run is not None
        return Migration(self.database, conn, journal, run, load_config(self.config))


@dataclass
class Setting:
    """The one server of this run, and how much is measured. `say`: receives the progress, for a person who waits."""

    server: Server
    directory: Path
    users: int
    quick: bool
    _made: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def repetitions(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @contextmanager
    def example(self, name: str, users: int, *, references: bool, variant: Variant = "adopt") -> Iterator[Example]:
        """A database with the example, which is dropped at the end. Without `references` only users is large; the other tables keep
        SMALL rows each."""
        template = self._template(users, references=references, variant=variant)
        made = self.clone(template, name)
        try:
            made.swap("init", str(USERS), "--out", str(made.config), "--force")
            yield made
        finally:
            self.drop(made)

    def template_ready(self) -> None:
        """Install the example, and with it the roles."""
        self._template(self.users, references=True)

    def drop(self, example: Example) -> None:
        self._admin().execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(example.name)))

    def clone(self, template: str, name: str) -> Example:
        """CREATE DATABASE … TEMPLATE, with the one right that is not copied."""
        self._admin().execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(name), sql.Identifier(template)),
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(OWNER)),
        )
        return Example(self.server, name, self.directory)

    def _admin(self) -> Example:
        return Example(self.server, "postgres", self.directory)

    @contextmanager
    def schema(self, name: str, ddl: sql.SQL | sql.Composed) -> Iterator[Example]:
        """A database with the tables that `ddl` makes, as their owner; dropped at the end. The roles come with the example."""
        self.template_ready()
        made = self.clone("template0", name)
        try:
            made.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
            with psycopg.connect(made.owner, autocommit=True) as conn:
                conn.execute(ddl)
            made.execute(sql.SQL("VACUUM (ANALYZE)"))
            made.swap("init", str(USERS), "--out", str(made.config), "--force")
            yield made
        finally:
            self.drop(made)

    def _template(self, users: int, *, references: bool, variant: Variant = "adopt") -> str:
        """The template of a size, made once. It is vacuumed, so that no reader has to set hint bits."""
        name = f"{'example' if references else 'users'}_{variant}_{users}"
        if name in self._made:
            return name
        if references:
            self.say(f"  installing the example with {users:,} users")
            self._admin().execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            template = Example(self.server, name, self.directory)
            install(template.superuser, variant, users=users)
            template.execute(sql.SQL("VACUUM (ANALYZE)"))
        else:
            template = self.clone(self._template(users, references=True, variant=variant), name)
            for table in REFERENCES:
                column = "user_id" if table == "user_roles" else "id"
                template.execute(
                    sql.SQL("DELETE FROM {} WHERE {} > {}").format(
                        sql.Identifier("public", table), sql.Identifier(column), sql.Literal(SMALL)
                    ),
                    sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier("public", table)),
                )
        self._made.add(name)
        return name


def _processor_seconds(server: Server) -> float:
    """Processor time of the postmaster and of every session that it has had, and of every process that this one has waited for."""
    postmaster, me = psutil.Process(server.pid), psutil.Process()
    total = 0.0
    for times in (postmaster.cpu_times(), me.cpu_times()):
        total += times.children_user + times.children_system
    for process in (postmaster, me, *postmaster.children()):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return float(total)


def quiesce(example: Example) -> None:
    """Checkpoint: so no side pays for the pages that the other one has left to be written."""
    example.execute(sql.SQL("CHECKPOINT"))


def sizes(example: Example) -> str:
    """Rows (the planner's estimate) and size of every table of the example, in words."""
    rows = example.execute(
        sql.SQL(
            "SELECT relname::text, reltuples::bigint, pg_relation_size(oid) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relname = ANY (ARRAY[{}]) ORDER BY 2 DESC"
        ).format(sql.SQL(", ").join(sql.Literal(t) for t in ("users", *REFERENCES)))
    )
    return ", ".join(f"{name} {count:,} rows {size / 2**20:,.0f} MiB" for name, count, size in rows)
