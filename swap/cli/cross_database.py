"""`swap verify --against`: compare two databases by digests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from swap.catalog.load import load_catalog
from swap.cli.output import print_lines
from swap.cli.results import conclude
from swap.cli.session import Session
from swap.cli.terminal import print_table
from swap.core.connection import Database
from swap.core.errors import DifferenceError
from swap.core.names import parse_table
from verify.cross_database import DatabaseComparison, compare_databases


def compare(s: Session, other: Database, jobs: int, *, as_json: bool) -> int:
    """Compare the source and every table that refers to it with the same tables of another database. Return the exit code."""
    declared = [(parse_table(r.table), r.column) for r in s.config.reference]
    catalog = load_catalog(s.journal.conn, s.config.source.name, declared)
    names = [catalog.source.name, *(t.name for t in catalog.tables if t.name != catalog.source.name)]
    result = compare_databases(s.database, other, names, jobs, s.report)
    s.close()
    error = None
    if result.verdict != "digest-equal":
        error = DifferenceError(
            _said(result), hint="Two snapshots are not of one moment: compare what does not change meanwhile."
        )
    document = as_document(result)
    if not as_json:
        columns = ["name", "rows", "rows_there", "digest", "digest_there", "ranges", "ranges_different"]
        print_table(columns, [[len(v) if isinstance(v := t[c], list) else v for c in columns] for t in document["tables"]])
        print_lines([f"verdict: {result.verdict}"])
    return conclude(document, error, as_json=as_json)


def _said(result: DatabaseComparison) -> str:
    if result.unfinished:
        return f"The comparison did not finish: {result.unfinished[0]}."
    first = next(t for t in result.tables if not t.equal)
    return f"{sum(not t.equal for t in result.tables)} tables differ, the first is {first.name}."


def as_document(result: DatabaseComparison) -> dict[str, Any]:
    tables = []
    for t in result.tables:
        ranges = [asdict(r) for r in t.ranges]
        totals = {
            f"{what}{suffix}": total([r[side] for r in ranges], what)
            for side, suffix in (("here", ""), ("there", "_there"))
            for what in ("rows", "digest")
        }
        different = [{"low": r.low, "high": r.high} for r in t.ranges if not r.equal]
        tables.append(
            {"name": t.name, **totals, "structure": list(t.structure), "ranges": ranges, "ranges_different": different, "seconds": t.seconds}
        )  # fmt: skip
    return {"verdict": result.verdict, "tables": tables, "unfinished": list(result.unfinished)}


def total(sides: list[dict[str, Any]], what: str) -> int | str:
    """Add up all ranges: their rows, or both halves of their digests. The sum does not depend on how the ranges were cut."""
    if what == "rows":
        return sum(int(s["rows"]) for s in sides)
    high = sum(int(s["digest"][:16], 16) for s in sides) % 2**64
    low = sum(int(s["digest"][16:], 16) for s in sides) % 2**64
    return f"{high:016x}{low:016x}"
