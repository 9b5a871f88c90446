"""A view that compares a key with a column that is no reference. The view is not at fault: the column has to be declared. Pure.

A text of the server's has every relation as `schema.name`, with its alias behind it, and every column with the alias before it.
"""

from __future__ import annotations

import re

from swap.core.names import TableName, parse_table
from swap.core.toml_text import entry
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.model import Plan

ID = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
ALIAS = rf"(?:\s+(?!FROM\b|JOIN\b)({ID}))?"
FROM = re.compile(rf"\b(?:FROM|JOIN)\s+\(*({ID}\.{ID}){ALIAS}|,\s+({ID}\.{ID}){ALIAS}")
EQUAL = re.compile(rf"(?<![\w.])({ID})\.({ID})(?:::\w+)? = ({ID})\.({ID})(?![\w.])")
WORDS = {
    "on",
    "where",
    "join",
    "left",
    "right",
    "full",
    "inner",
    "cross",
    "group",
    "order",
    "limit",
    "using",
    "union",
    "natural",
    "having",
}


def undeclared_joins(moved: Plan, definition: str, remap: SchemaRemap) -> list[tuple[TableName, str]]:
    """The columns that the text compares with an exchanged one, and that are not exchanged. `moved`: the trial's plan."""
    tables = _tables(definition)
    exchanged = {(t, p.integer) for t in {moved.source, *(r.table for r in moved.all_references)} for p in moved.pairs_of(t)}
    found = []
    for a, x, b, y in EQUAL.findall(definition):
        left, right = ((tables[q], _bare(c)) if q in tables else None for q, c in ((a, x), (b, y)))
        for key, other in ((left, right), (right, left)):
            if key in exchanged and other is not None and other not in exchanged:
                found.append((remap.back(other[0]), other[1]))
    return list(dict.fromkeys(found))


def declare(table: TableName, column: str) -> str:
    """The hint."""
    return f"Declare it as a reference: {entry('reference', table=str(table), column=column)}"


def _tables(definition: str) -> dict[str, TableName]:
    """By alias, as the text writes it."""
    out = {}
    for first, its, second, other in FROM.findall(definition):
        name, alias = first or second, its or other
        table = parse_table(name)
        out[alias if alias and alias.lower() not in WORDS else name.rpartition(".")[2]] = table
    return out


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
