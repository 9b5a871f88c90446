"""Whether what the trial has built means what the application's own objects mean (I10, H53).

The comparison is of operators and functions in the stored expressions (swap.catalog.meaning). A text that the server printed is not
enough: `IS DISTINCT FROM` over citext and over text prints alike. The trial runs each text with the operators' schemas in its path.
That serves, unless two schemas of one statement have an operator of the same name and types, or a function in one of them fits
better than that of pg_catalog which is meant. Then the object is refused here by its name.
"""

from __future__ import annotations

from swap.catalog.meaning import Meanings
from swap.catalog.query import find_relations
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.ddl.statistics import build_name
from swap.doctor.finding import Finding, blocker
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.meanings import difference, expected_after
from swap.plan.model import Plan

HINT = (
    "Write it so that its text names the operator with its schema, such as NOT (a OPERATOR(schema.=) b) in place of"
    " IS DISTINCT FROM; or drop it before `prepare` and create it again after the cutover."
)


def compare_meanings(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A blocker for each object that the trial has built with other operators or functions than the application's has."""
    expected = list(expected_after(plan))
    tables = sorted({e.table for e in expected})
    found_by_name = find_relations(conn, map(remap.name, [*tables, *(v.name for v in plan.catalog.views)]))
    oids = {t: r.oid for t in tables if (r := found_by_name.get(remap.name(t)))}
    views = {v.name: r.oid for v in plan.catalog.views if (r := found_by_name.get(remap.name(v.name)))}
    functions = {f.oid: oid for f in plan.catalog.functions for oid in _moved_function(conn, remap, f.name, f.arguments)}
    found = Meanings(conn, {*oids.values(), *views.values()}, functions.values())
    called = {s.name.name: build_name(s).name for s in plan.catalog.statistics}  # the trial exchanges no names of them
    pairs = [
        (e.label, e.meaning, found.find(oids[e.table], e.kind, called[e.name] if e.kind == "statistics" else e.name))
        for e in expected
        if e.table in oids
    ]
    pairs += [
        (str(v.name), v.meaning, found.whole(views[v.name]))
        for v in plan.catalog.views
        if v.name in views and not plan.text_of(v.oid)
    ]
    pairs += [
        (f.signature, f.meaning, found.whole(functions[f.oid]))
        for f in plan.catalog.functions
        if f.oid in functions and not plan.text_of(f.oid)
    ]
    out = []
    for label, before, after in pairs:
        if after is not None and (said := difference(before.uses, map(remap.named_back, after.uses))):
            out.append(blocker("meaning", label, f"made again from the server's own text, it {said}", HINT))
    return out


def _moved_function(conn: Connection, remap: SchemaRemap, name: TableName, arguments: str) -> list[int]:
    query = load_sql("swap.doctor.trial", "moved_function.sql")
    moved = remap.name(name)
    return fetch_values(conn, query, {"schema": moved.schema, "name": moved.name, "arguments": remap.text(arguments)})
