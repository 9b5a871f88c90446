"""Views and functions that depend on the source: every one that is bound to it, to its row type, or to a reference's
columns, with those that depend on them in turn, in an order in which they can be created again (H26, H27).

Bound means pg_depend. Views and SQL-standard bodies bind relations and columns by number; signatures bind row types. A string
body binds nothing: the server looks its names up when it runs.

Anything else that depends on such a view or function (a policy, a default, an index, a cast) is an unclaimed dependency:
`doctor` refuses it by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from swap.catalog.meaning import Meanings
from swap.catalog.model import Function, Grant, UnclaimedDependency, View, ViewPart
from swap.catalog.query import query, query_parts
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import from_row

WHOLE = -1  # in place of a column's number: the relation and its row type


class Node(NamedTuple):
    """A relation or a function. `kind`: class | proc."""

    kind: str
    oid: int


class Part(NamedTuple):
    """A column of a relation, by its number; WHOLE: the relation and its row type."""

    kind: str
    oid: int
    attnum: int


@dataclass(frozen=True)
class Dependents:
    """The `rank` of views and functions, taken together, is an order in which they can be created."""

    views: tuple[View, ...]
    functions: tuple[Function, ...]
    unclaimed: tuple[UnclaimedDependency, ...]


class Other(NamedTuple):
    """A dependency that is neither a view nor a function. `catalog`: its catalog, or `recursion`; `on`: what it depends on."""

    description: str
    catalog: str
    on: Node


@dataclass
class _Graph:
    """`needs[x]`: the views and functions that x is built on."""

    needs: dict[Node, set[Node]] = field(default_factory=dict)
    others: list[Other] = field(default_factory=list)


def load_dependents(
    conn: Connection, rebuilt: Iterable[int], columns: Iterable[tuple[int, int]], tables: Mapping[int, TableName]
) -> Dependents:
    """What depends on the tables `rebuilt` (oids) and on `columns` (table's oid, attnum): columns of references, whose table
    stays and whose names change. `tables`: names for the findings. Takes no lock."""
    graph = _walk(conn, sorted(rebuilt), list(columns))
    ranks, cycle = _order(graph.needs)
    views = _views(conn, [n.oid for n in graph.needs if n.kind == "class"])
    functions = load_functions(conn, [n.oid for n in graph.needs if n.kind == "proc"])
    names = {Node("class", v.oid): str(v.name) for v in views}
    names |= {Node("proc", f.oid): f.signature for f in functions}
    names |= {Node("class", oid): str(table) for oid, table in tables.items()}
    unclaimed = [UnclaimedDependency(o.description, names[o.on], o.catalog) for o in graph.others]
    unclaimed += [UnclaimedDependency(names[n], names[m], "cycle") for n, m in cycle]
    return Dependents(
        tuple(sorted((replace(v, rank=ranks[Node("class", v.oid)]) for v in views), key=lambda v: v.rank)),
        tuple(sorted((replace(f, rank=ranks[Node("proc", f.oid)]) for f in functions), key=lambda f: f.rank)),
        tuple(dict.fromkeys(unclaimed)),
    )


def _walk(conn: Connection, rebuilt: list[int], columns: list[tuple[int, int]]) -> _Graph:
    """Level by level, from the rebuilt tables and the columns.

    At these roots only views, functions and rules are looked for: the census claims everything else there. A policy that reads
    a view has a check of its own.
    """
    graph = _Graph()
    roots = {*rebuilt, *(t for t, _ in columns)}
    frontier = [*(Part("class", t, WHOLE) for t in rebuilt), *(Part("class", t, n) for t, n in columns)]
    while frontier:
        rows = query(
            conn, "dependents.sql", kinds=[p.kind for p in frontier], oids=[p.oid for p in frontier],
            attnums=[p.attnum for p in frontier],
        )  # fmt: skip
        frontier = []
        for r in rows:
            on, node = Node(r["on_kind"], r["on_oid"]), Node(r["kind"], r["oid"])
            root = on.kind == "class" and on.oid in roots
            if not node.kind:
                if (not root or r["catalog"] == "pg_rewrite") and (on.kind, r["catalog"]) != ("class", "pg_policy"):
                    graph.others.append(Other(r["description"], r["catalog"], on))
                continue
            if node not in graph.needs:
                graph.needs[node] = set()
                frontier.append(Part(node.kind, node.oid, WHOLE))
            if not root and node != on:
                graph.needs[node].add(on)
            elif node == on and node.kind == "proc":
                graph.others.append(Other(r["description"], "recursion", on))
    return graph


def _order(needs: dict[Node, set[Node]]) -> tuple[dict[Node, int], list[tuple[Node, Node]]]:
    """Ranks, and the pairs of a cycle. With a cycle there is no order, and `doctor` refuses it."""
    try:
        order = list(TopologicalSorter({n: sorted(needs[n]) for n in sorted(needs)}).static_order())
    except CycleError as e:
        members = e.args[1]
        return dict.fromkeys(needs, 0), list(zip(members[1:], members, strict=False))
    return {n: i for i, n in enumerate(order)}, []


def _views(conn: Connection, oids: list[int]) -> list[View]:
    parts = query_parts(conn, ViewPart, "view_parts.sql", oids)
    grants = query_parts(conn, Grant, "grants.sql", oids)
    meanings = Meanings(conn, oids)
    return [
        from_row(
            View, r,
            name=TableName(r["schema"], r["relation"]),
            definition=r["definition"].rstrip().rstrip(";"),
            parts=parts[r["oid"]],
            grants=grants[r["oid"]],
            rank=0,
            meaning=meanings.whole(r["oid"]),
        )
        for r in query(conn, "views.sql", oids=oids)
    ]  # fmt: skip


def load_functions(conn: Connection, oids: list[int]) -> list[Function]:
    """Functions and procedures with all that creates them again, ordered by oid."""
    grants = query_parts(conn, Grant, "function_grants.sql", oids)
    meanings = Meanings(conn, (), oids)
    return [
        from_row(
            Function, r,
            name=TableName(r["schema"], r["routine"]),
            definition=r["definition"].rstrip(),
            grants=grants[r["oid"]],
            rank=0,
            meaning=meanings.whole(r["oid"]),
        )
        for r in query(conn, "functions.sql", oids=oids)
    ]  # fmt: skip
