"""Databases to be verified, one per test, copied from templates; and how many planted differences each method caught.

The counts travel in the reports of the tests, so they add up over all processes of a run; they are printed at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.fix_cli import Cli
from tests.fix_server import Database, DatabaseServer, Execute, Variant
from tests.operating import Operator
from tests.verifying import AUDIT, Verified

Planted = Callable[[str, bool], None]
Made = tuple[str, Path]


@pytest.fixture
def planted(request: pytest.FixtureRequest) -> Planted:
    """`planted(method, caught)`: one difference was planted, and that method caught it or did not."""
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


@pytest.fixture(scope="session")
def caught_up(
    server: DatabaseServer,
    admin: Execute,
    example_template: Callable[[Variant, int, int], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Made]:
    """The name of a database that is prepared and synced, to be copied, and the directory of its swap.toml."""
    directory = tmp_path_factory.mktemp("caught_up")
    with template(server, admin, "template_caught_up", example_template("adopt", 300, 1), directory) as op:
        op("prepare")
        op("sync", "--once")
        stop(op)
        yield op.db.dbname, directory


@pytest.fixture(scope="session")
def retired(server: DatabaseServer, admin: Execute, caught_up: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The same after a cutover, caught up in reverse."""
    directory = tmp_path_factory.mktemp("retired")
    with template(server, admin, "template_retired", caught_up[0], directory) as op:
        op("verify")
        op("cutover", "--yes", "--no-snapshot")
        op("sync", "--once")
        stop(op)
        yield op.db.dbname, directory


@contextmanager
def template(server: DatabaseServer, admin: Execute, name: str, base: str, directory: Path) -> Iterator[Operator]:
    """A database made from another one, and its operator; dropped at the end."""
    ident = sql.Identifier(name)
    admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(ident, sql.Identifier(base)))
    admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(ident))
    db = Database(name, server.conninfo(name), server.conninfo(name, "swap_owner"), server.conninfo(name, "app"))
    try:
        yield Operator(Cli(directory, []), db, directory, AUDIT)
    finally:
        admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(ident))


def stop(op: Operator) -> None:
    for running in op.cli.started:
        running.end()


@pytest.fixture
def verified(caught_up: Made, new_database: Callable[[str], Database], admin: Execute, cli: Cli) -> Iterator[Verified]:
    """A copy of the caught-up example."""
    yield from copy(caught_up, new_database, admin, cli)


@pytest.fixture
def verified_after(retired: Made, new_database: Callable[[str], Database], admin: Execute, cli: Cli) -> Iterator[Verified]:
    """A copy of the example after its cutover."""
    yield from copy(retired, new_database, admin, cli)


def copy(made: Made, new_database: Callable[[str], Database], admin: Execute, cli: Cli) -> Iterator[Verified]:
    name, directory = made
    db = new_database(name)
    admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(db.dbname)))
    with closing(psycopg.connect(db.owner, autocommit=True)) as owner:
        yield Verified(db, owner, Operator(cli, db, directory, AUDIT))
