"""Every case of `tests/fixtures` through the whole cycle, as text: nothing is left behind, nothing is left over
(I10, H26 to H32, H46). How to add a case: docs/development.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix_server import Database, DatabaseServer
from tests.fixture_run import Case, Cycle, cases, normalised

CASES = cases()
REFUSED = [c for c in CASES if c.text("refused.txt") is not None]
CARRIED = [c for c in CASES if c not in REFUSED]


@pytest.fixture
def cycle(request: pytest.FixtureRequest, database: Database, server: DatabaseServer, tmp_path: Path) -> Cycle:
    case: Case = request.param
    made = Cycle(case, database, server, tmp_path / "swap.toml")
    if made.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    made.install()
    return made


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("cycle", CARRIED, ids=by_name, indirect=True)
def test_carried(cycle: Cycle) -> None:
    """After the cutover as expected; after the revert as just before it; after the abort as before `prepare`."""
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
    assert cycle.dump() == before_cutover
    assert cycle.run("verify")["verdict"] == "identical"
    cycle.run("abort", "--yes")
    assert cycle.dump() == before_prepare


@pytest.mark.parametrize("cycle", REFUSED, ids=by_name, indirect=True)
def test_refused(cycle: Cycle) -> None:
    """By name, with the reason and what to do; `prepare` refuses too, and nothing is changed."""
    before = cycle.dump()
    cycle.compare("refused.txt", cycle.findings("blocker", code=3))
    error = cycle.run("prepare", code=3)["error"]
    assert all(error[k] for k in ("message", "state", "hint"))
    assert cycle.dump() == before


def test_every_case_says_what_it_expects() -> None:
    """Neither outcome, or both, is no case; a case without text was never read by anybody."""
    for case in CASES:
        assert (case.text("expected.sql") is None) != (case.text("refused.txt") is None), case.name
        assert case.text("swap.toml") is not None, case.name
