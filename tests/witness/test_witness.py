"""The application does not notice (I1, H47, H48, H49): a fixed set of its statements gives the same before `prepare`, prepared, synced
and after `abort`, and no command touches a row, a file or a definition of its tables.

For every case of tests/fixtures that is not refused: by default for a sample of them, with `make witness` for all. What is
looked at: tests/witness/statements.py (what runs), session.py (what is seen of it), evidence.py (what a command did). What the
promise does not hold for is counted in the last lines of a run, with the reason (tests/witness/promise.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import sql

from tests.support.fixture_run import FixtureRun, cases
from tests.support.mode import REQUESTED
from tests.support.servers import Database, DatabaseServer, Execute
from tests.support.witnessed import Witnessed
from tests.witness.promise import zero_touch
from tests.witness.witness import Witness

CASES = {c.name: c for c in cases() if c.text("refused.txt") is None}
WHOLE = os.environ.get("SWAP_WITNESS") == "all"
# One of each kind of object; of realistic schemas the two that are rebuilt beside as they are.
SAMPLE = [
    "adopt",
    "checks",
    "column_defaults",
    "column_grants",
    "column_types",
    "functions",
    "generated_stored",
    "generated_virtual",
    "grants",
    "identity_always",
    "index_methods",
    "key_integer",
    "names_odd",
    "plain",
    "policy_elsewhere",
    "policy_source",
    "publication_listed",
    "reference_actions",
    "reference_by_uuid_only",
    "reference_chain",
    "reference_partitioned",
    "schema_erp",
    "schema_saas",
    "self_reference",
    "storage",
    "trigger_constraint",
    "trigger_reference",
    "trigger_source",
    "trigger_transition_tables",
    "views",
]
# Its references with a `where` get a column in place; it runs without them, so that its other thirty tables are looked at.
WITHOUT_WHERE = {"schema_rails"}


@pytest.fixture(scope="module", autouse=True)
def no_autovacuum(admin: Execute) -> Iterator[None]:
    """What changes is what a command changed."""
    admin(sql.SQL("ALTER SYSTEM SET autovacuum = off"))
    admin(sql.SQL("SELECT pg_reload_conf()"))
    yield
    admin(sql.SQL("ALTER SYSTEM RESET autovacuum"))
    admin(sql.SQL("SELECT pg_reload_conf()"))


def looks() -> list[tuple[str, str]]:
    """Schemas and captures. A sample is looked at with triggers, and every fourth of it with logical capture too."""
    names = sorted(CASES) if WHOLE else SAMPLE
    if REQUESTED:
        return [(name, REQUESTED) for name in names]
    return [(name, "trigger") for name in names] + [(name, "logical") for name in (names if WHOLE else names[::4])]


@pytest.mark.parametrize(("name", "capture_mode"), looks(), indirect=["capture_mode"])
def test_nothing_is_noticed(name: str, database: Database, server: DatabaseServer, tmp_path: Path, witnessed: Witnessed) -> None:
    case = CASES[name]
    run = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if run.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    run.install()
    if run.refused:
        pytest.skip("refused with this capture")
    promise = zero_touch(run.config.read_text(encoding="utf-8"), database.owner, polymorphic=name not in WITHOUT_WHERE)
    run.config.write_text(promise.text, encoding="utf-8")
    with closing(Witness.begin(run, promise)) as witness:
        for commands in ((), ("prepare",), ("sync", "--once"), ("abort", "--yes")):
            witness.after(*commands)
        assert not witness.unfired, "no statement fires these"
        assert not witness.malformed, "an error of the witness"
        assert not witness.failures, "\n".join([f"{len(witness.failures)} differences", *witness.failures[:20]])
        for what, number in witness.counts.items():
            witnessed(what, number)
