"""The application does not notice (I1, H47, H48, H49): a fixed set of its statements gives the same before `prepare`, prepared, synced
and after `abort`, and no command touches a row, a file or a definition of its tables.

For every case of tests/fixtures that is not refused. `witness` and its parts say what is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.fixture_run import Case, FixtureRun, cases
from tests.support.servers import Database, DatabaseServer, Execute
from tests.support.witnessed import Witnessed
from tests.witness.application import read_application
from tests.witness.evidence import changes
from tests.witness.promise import Promise, zero_touch
from tests.witness.witness import Witness

CASES = [c for c in cases() if c.text("refused.txt") is None]


@pytest.fixture(scope="module", autouse=True)
def no_autovacuum(admin: Execute) -> Iterator[None]:
    """What changes is what a command changed."""
    admin(sql.SQL("ALTER SYSTEM SET autovacuum = off"))
    admin(sql.SQL("SELECT pg_reload_conf()"))
    yield
    admin(sql.SQL("ALTER SYSTEM RESET autovacuum"))
    admin(sql.SQL("SELECT pg_reload_conf()"))


@pytest.mark.both_modes
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_nothing_is_noticed(
    case: Case, database: Database, server: DatabaseServer, tmp_path: Path, witnessed: Witnessed
) -> None:
    run = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if run.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    run.install()
    if run.refused:
        pytest.skip("refused with this capture")
    promise = zero_touch(run.config.read_text(encoding="utf-8"), database.owner)
    run.config.write_text(promise.text, encoding="utf-8")
    with closing(Witness.begin(run, promise)) as witness:
        for commands in ((), ("prepare",), ("sync", "--once"), ("abort", "--yes")):
            witness.after(*commands)
        assert not witness.failures, "\n".join([f"{len(witness.failures)} differences", *witness.failures[:20]])
        for what, number in witness.counts.items():
            witnessed(what, number)
