"""THE driver of a migration in the tests. It is a `swap.state.migration.Migration`, with every command as a method: one step
at a time, where the command line would run to its end.

`install` makes a small schema of swap_owner's; `migrations` yields a factory of drivers, for a fixture. Built on it:
`tests/support/cycling.py` compares the schema at each turn; `tests/support/whole.py` does so for any schema. The real command
line is driven by `tests/support/operator.py` (processes) and `tests/support/fixture_run.py` (in process).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from cutover.abort import abort
from cutover.finalize import finalize
from cutover.run import ExchangeCommand, Outcome
from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.snapshot import Snapshot
from swap.ddl.change_tables import change_table
from swap.ddl.key_mapping import resolver_names
from swap.plan.direction import Direction
from swap.plan.planning import read_plan
from swap.plan.row_keys import origin_columns, selected, target_columns, to_key
from swap.prepare.drift import store_baseline
from swap.prepare.run import resume_prepare
from swap.state.journal import Journal
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue
from swap.sync.logical.barrier import streaming
from swap.sync.loop import Sync, SyncResult
from swap.sync.replay import Barrier, Replayed, replay
from tests.support.mode import current_mode, with_mode
from tests.support.servers import Database
from tests.support.stages import Stages
from verify.report import Report
from verify.run import verify
from verify.settings import VerificationSettings

Session = psycopg.Connection[Any]

ROLES = """
DO $$ DECLARE r text; BEGIN
    FOREACH r IN ARRAY ARRAY['swap_owner', 'app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE format('CREATE ROLE %I LOGIN', r); END IF;
    END LOOP;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO swap_owner', current_database());
    GRANT USAGE, CREATE ON SCHEMA public TO swap_owner;
    GRANT USAGE ON SCHEMA public TO app;
    IF NOT has_parameter_privilege('swap_owner', 'session_replication_role', 'SET') THEN
        GRANT SET ON PARAMETER session_replication_role TO swap_owner;
    END IF;
END $$
"""
GRANTS = """
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
"""
# The application's tables alone: the catalogs, which a plain ANALYZE reads too, take longer than they do.
ANALYZE = """
DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND relpersistence <> 't' AND oid >= 16384
        AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) LOOP
        EXECUTE format('ANALYZE %s', t);
    END LOOP;
END $$
"""
# Every DDL of the tool waits for an advisory lock that a test holds: a statement of an exchange that is slow on purpose.
SLOW_DDL = """
CREATE OR REPLACE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN IF current_user = 'swap_owner' AND current_query() LIKE '%RENAME%' THEN PERFORM pg_advisory_xact_lock_shared(42); END IF; END $$;
CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.slow()
"""


def install(db: Database, ddl: str) -> None:
    """The roles, and `ddl` run as swap_owner; the application's role may read and write every table."""
    with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
        conn.execute(ROLES)
    if current_mode() == "logical":
        allow_replication(db)
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        conn.execute(ddl.encode())
        conn.execute(GRANTS)
        conn.execute(ANALYZE)


def allow_replication(db: Database) -> None:
    """What logical capture needs of swap_owner besides its rights on the tables. Roles are the whole server's: it stays."""
    with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
        conn.execute("ALTER ROLE swap_owner REPLICATION")


def configuration(**config: Any) -> Config:
    """The source is public.users, unless `config` says otherwise; captured as this test captures."""
    return Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})


def in_place(table: str, column: str, **more: str) -> dict[str, str]:
    """The configuration of a reference that gets its uuid column in place."""
    return {"table": f"public.{table}", "column": column, "strategy": "column", **more}


def all_in_place(db: Database, **config: Any) -> dict[str, Any]:
    """`config` with every reference of the database in place, those of the source apart. `ddl` is installed."""
    made = configuration(**config)
    with closing(Conninfo.from_options(db.owner, "test").connect()) as conn:
        refs = [r for r in read_plan(conn, made).all_references if not r.own]
    given = {(r["table"], r["column"]): r for r in config.get("reference", ())}
    entries = [{**given.pop((str(r.table), r.column), {}), **in_place(r.table.name, r.column)} for r in refs]
    return {**config, "reference": [*entries, *given.values()]}


@dataclass
class Driver(Migration):
    """One source on its way, as swap_owner. `run` is read again after every command."""

    db: Database = field(kw_only=True)
    own_stream: bool = field(kw_only=True, default=False)

    @classmethod
    def begin(cls, db: Database, **config: Any) -> Self:
        """A new run; nothing is prepared yet."""
        driver = cls._connected(db, config)
        try:
            plan = read_plan(driver.conn, driver.config)
            driver.journal.create()
            with driver.conn.transaction():
                driver.run = driver.journal.add_run(plan, plan.mode)
                store_baseline(driver)
        except BaseException:
            driver.close()
            raise
        return driver

    @classmethod
    def resume(cls, db: Database, **config: Any) -> Self:
        """The run that the database has already."""
        driver = cls._connected(db, config)
        run = driver.journal.current(driver.config.source.name)
        assert run is not None
        driver.run = run
        return driver

    @classmethod
    def _connected(cls, db: Database, config: dict[str, Any]) -> Self:
        made = configuration(**config)
        if made.sync.mode == "logical":
            allow_replication(db)
        database = Conninfo.from_options(db.owner, "test")
        conn = database.connect()
        none_yet: Any = None
        # A test that is about logical capture itself says so in its configuration, and runs the stream on its own.
        own_stream = "mode" in config.get("sync", {})
        journal = Journal(conn, made.names.state_schema)
        return cls(database, conn, journal, none_yet, made, db=db, own_stream=own_stream)

    def close(self) -> None:
        self.conn.close()

    @property
    def pid(self) -> int:
        return self.conn.info.backend_pid

    @property
    def queue(self) -> ChangeQueue:
        return ChangeQueue.of(self)

    def prepare(self) -> None:
        resume_prepare(self)

    def sync(self, jobs: int = 1) -> SyncResult:
        """`swap sync --once`."""
        return Sync(self, jobs=jobs, once=True).run()

    def synced(self) -> Self:
        self.prepare()
        self.sync()
        return self

    def verify(self) -> Report:
        """`swap verify --method exact`."""
        self.reload()
        return verify(self, VerificationSettings(method="exact", jobs=1))

    def exchange(self, kind: str) -> Outcome:
        """`swap cutover` or `swap revert`, without a hook."""
        try:
            return ExchangeCommand(self, kind).execute()
        finally:
            if not self.conn.closed:
                self.reload()

    def finalize(self, *, drop_legacy: bool = False) -> None:
        finalize(self, drop_legacy=drop_legacy)

    def abort(self) -> None:
        abort(self)

    def deliver(self) -> None:
        """What has committed is in the change tables, as it is at once with triggers."""
        if self.plan.mode == "logical" and not self.own_stream:
            with streaming(self.database, self.plan, self.run.id) as barrier:
                assert barrier is not None
                barrier.wait_delivered()

    def replay(self, limit: int | None = 1_000_000, barrier: Barrier | None = None) -> Replayed:
        """One batch of about `limit` entries, whole transactions; 0: one transaction."""
        self.deliver()
        return replay(self, limit, barrier)

    def drain(self, limit: int | None = 1_000_000) -> int:
        """Batches until one says that the sides are equal; how many there were."""
        for batches in range(1, 1000):
            if self.replay(limit).complete:
                return batches
        raise AssertionError("the queue does not get empty")

    def watermark(self) -> Snapshot:
        return self.queue.watermark()

    def pending(self) -> int:
        self.deliver()
        return self.queue.count_due()

    def captured(self) -> list[int | None]:
        """Every key in the change tables, in the order of capture; None: a TRUNCATE."""
        self.deliver()
        both = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT xid, ctid, key FROM {}").format(change_table(self.plan, n).sql) for n in (0, 1)
        )
        return [r[0] for r in self.conn.execute(sql.SQL("SELECT key FROM ({}) c ORDER BY xid, ctid").format(both))]

    def forget(self) -> None:
        """Empty the change tables, to look at what comes next alone."""
        self.deliver()
        for t in self.plan.swapped:
            for n in (0, 1):
                self.conn.execute(sql.SQL("TRUNCATE {}").format(change_table(self.plan, n, t.number).sql))

    def differences(self, number: int = 0) -> list[Any]:
        """Keys of a swapped table (of the source) whose maintained row is not, bit for bit, the captured row with its references
        mapped. The functions that answer for applications tell the mapping: a row that is gone keeps its uuid."""
        d = self.mappings[number]
        forward = d.direction is Direction.FORWARD
        resolver = resolver_names(self.plan)[0 if forward else 1].sql
        comma = sql.SQL(", ")
        wanted = comma.join(
            sql.SQL("CASE WHEN {given} IS NULL THEN {beside} ELSE {resolve}({given}){cast} END").format(
                given=sql.Identifier("s", m.origin),
                beside=sql.Identifier("s", m.beside) if m.beside else sql.NULL,
                resolve=resolver,
                cast=sql.SQL("" if m.column is None or forward else f"::{m.column.type}"),
            )
            if m.lookup
            else sql.Identifier("s", m.origin)
            for m in d.columns
        )
        found = comma.join(sql.Identifier("t", m.target) for m in d.columns)
        origin_key, target_key = origin_columns(d, "s"), target_columns(d, "t")
        if d.exchanged_key:
            origin_key = [
                sql.SQL("{}({})").format(resolver, sql.Identifier("s", k.origin))
                if k.exchanged
                else sql.Identifier("s", k.origin)
                for k in d.key
            ]
            target_key = [sql.Identifier("t", k.target) for k in d.key]
        query = sql.SQL(
            "SELECT coalesce(w.k, f.k) FROM (SELECT {origin_key} AS k, ROW({wanted})::record AS r FROM {origin} s) w"
            " FULL JOIN (SELECT {target_key} AS k, ROW({found})::record AS r FROM {target} t) f ON w.k = f.k"
            " WHERE w.k IS NULL OR f.k IS NULL OR NOT w.r *= f.r ORDER BY 1 LIMIT 20"
        ).format(
            origin_key=selected(d, origin_key), wanted=wanted, origin=d.origin.sql,
            target_key=selected(d, target_key), found=found, target=d.target.sql,
        )  # fmt: skip
        counts = sql.SQL("SELECT (SELECT count(*) FROM {}) - (SELECT count(*) FROM {})").format(d.origin.sql, d.target.sql)
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            keys = [to_key(r[0]) for r in self.conn.execute(query)]
            surplus = self.conn.execute(counts).fetchone()
        assert surplus is not None
        return keys if keys or surplus[0] == 0 else [f"{surplus[0]} rows more on the captured side"]

    def unmapped(self) -> list[tuple[str, Any, Any, Any]]:
        """Rows of references whose uuid is not that of the row their integer names: (table, integer, uuid, expected).
        A reference may outlive its row, and keeps the uuid then."""
        out: list[tuple[str, Any, Any, Any]] = []
        p = self.plan
        for ref in p.references:
            c, u = sql.Identifier(ref.columns.column), sql.Identifier(ref.columns.uuid_column)
            where = sql.SQL(ref.columns.where or "true")
            query = sql.SQL(
                "SELECT r.c, r.u, s.{identity} FROM (SELECT {c} AS c, {u} AS u FROM {table} WHERE {where}) r"
                " LEFT JOIN {source} s ON s.{key} = r.c WHERE r.u IS DISTINCT FROM s.{identity}"
                " AND (s.{key} IS NOT NULL OR r.c IS NULL) LIMIT 20"
            ).format(
                c=c, u=u, table=ref.table.sql, where=where, source=p.source.sql, key=sql.Identifier(p.key),
                identity=sql.Identifier(p.identity),
            )  # fmt: skip
            out += [(ref.table.name, *row) for row in self.conn.execute(query)]
        return out

    def assert_same(self) -> None:
        """Of every swapped table, and of every reference in place."""
        self.reload()
        assert {d.origin.name: found for d in self.mappings if (found := self.differences(d.number))} == {}
        assert self.unmapped() == []

    def hold_chunks(self, part: str, *numbers: int) -> None:
        """From now on the ranges `numbers` of `part` wait, after their rows are written and before they commit, for
        the advisory locks of the same numbers.
        """
        body = "BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(NEW.number); RETURN NEW; END"
        schema = sql.Identifier(self.plan.state_schema)
        self.conn.execute(
            sql.SQL("CREATE FUNCTION {}.hold() RETURNS trigger LANGUAGE plpgsql AS {}").format(schema, sql.Literal(body))
        )
        self.conn.execute(
            sql.SQL(
                "CREATE TRIGGER hold BEFORE UPDATE ON {s}.chunk FOR EACH ROW"
                " WHEN (split_part(NEW.part, ' of file ', 1) = {part} AND NEW.number IN ({n})) EXECUTE FUNCTION {s}.hold()"
            ).format(s=schema, part=sql.Literal(part), n=sql.SQL(", ").join(map(sql.Literal, numbers)))
        )


Migrate = Callable[..., Driver]


def migrations() -> Iterator[Migrate]:
    """For a fixture: `migrate(db, ddl, **configuration)`; sessions are closed after the test."""
    with ExitStack() as stack:

        def make(db: Database, ddl: str | None = None, **config: Any) -> Driver:
            if ddl is not None:
                install(db, ddl)
            made = Driver.begin(db, **config)
            stack.callback(made.close)
            return made

        yield make


Synced = Callable[..., Driver]


@pytest.fixture
def synced(stages: Stages) -> Iterator[Synced]:
    """Factory: `synced(database, ddl, **configuration)`, prepared and caught up; `prepared=True`: prepared only."""
    with ExitStack() as stack:

        def make(db: Database, ddl: str, *, prepared: bool = False, **config: Any) -> Driver:
            def build(template: Database) -> None:
                install(template, ddl)
                m = Driver.begin(template, **config)
                with closing(m):
                    m.prepare()
                    if not prepared:
                        m.sync()

            stages.fill(db, stages.template((ddl, prepared, repr(config)), "template0", build))
            made = Driver.resume(db, **config)
            stack.callback(made.close)
            return made

        yield make


@contextmanager
def background(work: Callable[[], Any], on_error: Callable[[], object] = lambda: None) -> Iterator[Future[Any]]:
    """`work` in a thread; an error in the block calls `on_error` first, so that the thread can end."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield future
        except BaseException:
            on_error()
            raise


def waiting_for(conn: Session, number: int) -> bool:
    """Whether some session waits for the advisory lock `number`."""
    found = conn.execute(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [number],
    ).fetchone()
    return found is not None
