"""Every case of `tests/fixtures` through the whole cycle, compared as text: nothing is lost, and nothing remains
(I10, H26 to H32, H46). How to add a case: docs/development.md.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from tests.support.dump import without_fence
from tests.support.fixture_run import REFUSED_LOGICAL, Case, FixtureRun, cases, normalised, own_removed
from tests.support.migration import allow_replication
from tests.support.mode import REQUESTED
from tests.support.servers import Database, DatabaseServer

CASES = cases()
REFUSED = [c for c in CASES if c.text("refused.txt") is not None]
CARRIED = [c for c in CASES if c not in REFUSED]


@pytest.fixture
def cycle(request: pytest.FixtureRequest, database: Database, server: DatabaseServer, tmp_path: Path) -> FixtureRun:
    case: Case = request.param
    made = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if made.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    made.install()
    return made


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.sampled(2)
@pytest.mark.parametrize("cycle", CARRIED, ids=by_name, indirect=True)
def test_carried(cycle: FixtureRun) -> None:
    """The schema is as expected after the cutover, as just before it after the revert, and as before `prepare` after the abort.

    With SWAP_TEST_MODE with that capture from `prepare` on (`make test-modes`). Without it with triggers, and every third schema once
    more with logical replication, after `prepare --mode`.
    """
    if cycle.refused:
        refused(cycle, cycle.refused)
        return
    before_prepare = cycle.dump()
    blockers = cycle.findings("blocker", code=0)
    assert blockers == ""
    if cycle.case.text("warned.txt") is not None:
        cycle.compare("warned.txt", cycle.findings("warning", code=0))
    cycle.run("prepare")
    cycle.run("sync", "--once")
    assert cycle.run("verify")["verdict"] == "identical"
    before_cutover = cycle.dump()
    cycle.run("cutover", "--yes", "--no-snapshot")
    cycle.compare("expected.sql", normalised(cycle.dump()))
    cycle.write_afterwards()
    assert cycle.run("verify")["verdict"] == "identical"
    cycle.run("revert", "--yes")
    assert without_fence(cycle.dump()) == without_fence(before_cutover)
    assert cycle.run("verify")["verdict"] == "identical"
    if not REQUESTED and crc32(cycle.case.name.encode()) % 3 == 0:
        with_the_other_capture(cycle, before_cutover)
    cycle.run("abort", "--yes")
    assert cycle.dump() == before_prepare


def with_the_other_capture(cycle: FixtureRun, before_cutover: str) -> None:
    """The same once more. A schema that logical capture refuses stays with triggers."""
    if cycle.case.text(REFUSED_LOGICAL) is not None:
        cycle.run("prepare", "--mode", "logical", code=3)
        assert without_fence(cycle.dump()) == without_fence(before_cutover)
        return
    allow_replication(cycle.db)
    cycle.run("prepare", "--mode", "logical")
    cycle.run("cutover", "--yes", "--no-snapshot")
    cycle.compare("expected.sql", normalised(cycle.dump()))
    assert cycle.run("verify")["verdict"] == "identical"
    cycle.run("revert", "--yes")
    assert own_removed(cycle.dump()) == own_removed(before_cutover)


@pytest.mark.parametrize("cycle", REFUSED, ids=by_name, indirect=True)
def test_refused(cycle: FixtureRun) -> None:
    """By name, with the reason and the remedy. `prepare` refuses too, and nothing is changed."""
    refused(cycle, cycle.refused or "refused.txt")


def refused(cycle: FixtureRun, file: str) -> None:
    before = cycle.dump()
    cycle.compare(file, cycle.findings("blocker", code=3))
    error = cycle.run("prepare", code=3)["error"]
    assert all(error[k] for k in ("message", "state", "hint"))
    assert cycle.dump() == before


def test_every_case_says_what_it_expects() -> None:
    """A case has exactly one of the outcomes, and its files are not empty."""
    for case in CASES:
        assert (case.text("expected.sql") is None) != (case.text("refused.txt") is None), case.name
        assert case.text("swap.toml") is not None, case.name
