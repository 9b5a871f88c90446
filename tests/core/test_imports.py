"""Boundaries that import-linter's contracts cannot express."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("swap", "verify", "cutover") for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level names of every import in the file, in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_talks_to_the_terminal_and_the_database(path: Path) -> None:
    assert not {"rich", "psycopg"} <= imported(path)


def test_the_package_imports_nothing() -> None:
    assert imported(ROOT / "swap" / "__init__.py") == set()


@pytest.mark.parametrize(
    "path", [p for p in MODULES if ROOT / "swap" / "state" not in p.parents], ids=lambda path: str(path.relative_to(ROOT))
)
def test_only_the_journal_knows_its_tables(path: Path) -> None:
    """Callers do not use `journal.t[...]`: else every package would know the columns of the journal's tables."""
    found = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute) and n.attr == "t"]
    assert found == []


PURE = [p for p in MODULES if {ROOT / "swap" / "ddl", ROOT / "swap" / "plan"} & set(p.parents)]


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_plans_and_statements_are_only_data(path: Path) -> None:
    """`swap.plan` and `swap.ddl` compute plans and statements. `swap.catalog` asks the server, and executors run statements."""
    tree = ast.parse(path.read_text())
    assert [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in {"execute", "executemany"}] == []


def test_statements_have_one_home() -> None:
    """Functions that make statements are in `swap.ddl`, except those of the type itself and of the trial's empty copies."""
    home = ROOT / "swap" / "ddl"
    elsewhere = {ROOT / "swap" / "core" / "statement.py", *(ROOT / "swap" / "doctor" / "trial").glob("*.py")}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        if home not in path.parents and path not in elsewhere
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Statement"
    ]
    assert found == []


HELD = {"conn", "plan", "run", "config", "journal", "report", "reporter"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_migration_holds_does_not_travel_one_by_one(path: Path) -> None:
    """A function takes at most two of its parts: a query takes the connection and the plan; a function that acts takes a `Migration`."""
    functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    parameters = {f.name: {a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)} for f in functions}
    assert {name: sorted(found & HELD) for name, found in parameters.items() if len(found & HELD) > 2} == {}
