"""The example application with the file that `swap init` writes: nothing of it is touched before the cutover, though a key of it holds a
reference, and nobody has to choose that (I1)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from swap.core.config import load_config
from swap.core.connection import Database as Target
from swap.core.names import TableName
from swap.plan.model import TABLE
from swap.plan.planning import read_plan
from swap.prepare.init import render
from tests.support.fixture_run import Case, FixtureRun
from tests.support.migration import allow_replication
from tests.support.mode import current_mode, toml_with_mode
from tests.support.servers import DatabaseServer, ExampleFactory
from tests.support.witnessed import Witnessed
from tests.witness.promise import Promise
from tests.witness.test_witness import no_autovacuum
from tests.witness.witness import Witness

__all__ = ["no_autovacuum"]


@pytest.mark.both_modes
def test_the_example_is_left_alone(example: ExampleFactory, server: DatabaseServer, tmp_path: Path, witnessed: Witnessed) -> None:
    """Given the fresh example and `init`'s own file, then every reference is rebuilt beside and the uuids are computed; the statements of
    the application give the same before `prepare`, prepared, synced and after `abort`, and no row, file or definition has changed."""
    database = example("fresh", users=200)
    run = FixtureRun(Case(tmp_path), database, server, tmp_path / "swap.toml")
    if current_mode() == "logical":
        allow_replication(database)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        # The fixed statements write into every table, as a superuser: a row-level policy is not what is looked at here.
        conn.execute("ANALYZE")
    with closing(Target.from_options(database.owner, "witness").connect()) as conn:
        run.config.write_text(toml_with_mode(render(conn, TableName("public", "users"))), encoding="utf-8")
        plan = read_plan(conn, load_config(run.config))
    assert plan.derived
    assert {r.strategy for r in plan.all_references} == {TABLE}
    assert "user_roles" in {t.name.name for t in plan.swapped}
    shadows = tuple((t.shadow.schema, t.shadow.name) for t in plan.swapped)
    with closing(Witness.begin(run, Promise(run.config.read_text(encoding="utf-8"), {}, shadows))) as witness:
        for commands in ((), ("prepare",), ("sync", "--once"), ("abort", "--yes")):
            witness.after(*commands)
        assert (witness.unfired, witness.malformed, witness.failures) == ([], [], [])
        for what, number in witness.counts.items():
            witnessed(what, number)
