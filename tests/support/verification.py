"""A database to verify for each test, copied from a template, and the number of planted differences that each method caught.

The counts travel in the reports of the tests, so they add up over all processes of a run. The end of the run prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.commands import Cli
from tests.support.operator import Operator
from tests.support.servers import Database, Variant
from tests.support.stages import Stages
from tests.support.verifying import AUDIT, Verified

Planted = Callable[[str, bool], None]


@pytest.fixture
def planted(request: pytest.FixtureRequest) -> Planted:
    """`planted(method, caught)`: note one planted difference, and whether the method caught it."""
    return lambda method, caught: request.node.user_properties.append(("planted", [method, caught]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if getattr(report, "when", None) == "call":
                counts.update(tuple(value) for name, value in report.user_properties if name == "planted")
    for method in sorted({m for m, _ in counts}):
        caught, missed = counts[method, True], counts[method, False]
        terminalreporter.write_line(f"verification, {method}: {caught} of {caught + missed} planted differences caught")


@pytest.fixture
def caught_up(stages: Stages, example_template: Callable[[Variant, int, int], str], cli: Cli, tmp_path: Path) -> str:
    """The name of a database that is prepared and synced: a template."""

    def build(db: Database) -> None:
        op = Operator(cli, db, tmp_path, AUDIT)
        op("prepare")
        op("sync", "--once")

    return stages.template("caught up", example_template("adopt", 300, 1), build)


@pytest.fixture
def retired(stages: Stages, caught_up: str, cli: Cli, tmp_path: Path) -> str:
    """The same after a cutover, caught up in reverse."""

    def build(db: Database) -> None:
        op = Operator(cli, db, tmp_path, AUDIT)
        op("verify")
        op("cutover", "--yes", "--no-snapshot")
        op("sync", "--once")

    return stages.template("retired", caught_up, build)


@pytest.fixture
def verified(caught_up: str, stages: Stages, database: Database, cli: Cli, tmp_path: Path) -> Iterator[Verified]:
    """A copy of the caught-up example."""
    yield from copy(caught_up, stages, database, cli, tmp_path)


@pytest.fixture
def verified_after(retired: str, stages: Stages, database: Database, cli: Cli, tmp_path: Path) -> Iterator[Verified]:
    """A copy of the example after its cutover."""
    yield from copy(retired, stages, database, cli, tmp_path)


def copy(template: str, stages: Stages, db: Database, cli: Cli, directory: Path) -> Iterator[Verified]:
    stages.fill(db, template)
    with closing(psycopg.connect(db.owner, autocommit=True)) as owner:
        yield Verified(db, owner, Operator(cli, db, directory, AUDIT))
