"""Views and functions that follow the source: every one that is bound to it, to its row type, or to a reference's
columns, with those above them, in the order in which they can be created again (H26, H27).

Bound means pg_depend: views and SQL-standard bodies bind relations and columns by number, signatures bind row types.
String bodies bind nothing; they are met by name when they run. What depends on one of these and is neither a view
nor a function (a policy, a default, an index, a cast) is listed as unfollowed, and refused by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from swap.catalog.load import query
from swap.catalog.model import Function, Grant, UnclaimedDependency, View, ViewPart
from swap.core.connection import Connection
from swap.core.names import TableName

WHOLE = -1


class Node(NamedTuple):
    kind: str  # class | proc
    oid: int


@dataclass(frozen=True)
class Dependents:
    """`rank` of views and functions together is a runnable order of creation."""

    views: tuple[View, ...]
    functions: tuple[Function, ...]
    unfollowed: tuple[UnclaimedDependency, ...]


@dataclass
class _Graph:
    """`above[x]`: what x is built on, among what is built again; `others`: (description, catalog, what it depends on)."""

    above: dict[Node, set[Node]] = field(default_factory=dict)
    others: list[tuple[str, str, Node]] = field(default_factory=list)


def load_dependents(
    conn: Connection, source: int, columns: Iterable[tuple[int, int]], tables: Mapping[int, TableName]
) -> Dependents:
    """`columns`: (table oid, attnum) of references, which keep their table and change their names."""
    graph = _walk(conn, source, list(columns))
    ranks, cycle = _order(graph.above)
    views = _views(conn, [n.oid for n in graph.above if n.kind == "class"])
    functions = _functions(conn, [n.oid for n in graph.above if n.kind == "proc"])
    names = {Node("class", v.oid): str(v.name) for v in views}
    names |= {Node("proc", f.oid): f.signature for f in functions}
    names |= {Node("class", oid): str(table) for oid, table in tables.items()}
    unfollowed = [UnclaimedDependency(text, names[on], catalog) for text, catalog, on in graph.others]
    unfollowed += [UnclaimedDependency(names[n], names[m], "cycle") for n, m in cycle]
    return Dependents(
        tuple(sorted((replace(v, rank=ranks[Node("class", v.oid)]) for v in views), key=lambda v: v.rank)),
        tuple(sorted((replace(f, rank=ranks[Node("proc", f.oid)]) for f in functions), key=lambda f: f.rank)),
        tuple(dict.fromkeys(unfollowed)),
    )


def _walk(conn: Connection, source: int, columns: list[tuple[int, int]]) -> _Graph:
    """Level by level. At the roots only views, functions and rules are looked for: the census claims the rest there, and
    policies that read a view have a check of their own."""
    graph = _Graph()
    roots = {source, *(t for t, _ in columns)}
    frontier = [("class", source, WHOLE), *(("class", t, n) for t, n in columns)]
    while frontier:
        kinds, oids, attnums = zip(*frontier, strict=True)
        found = query(conn, "dependents.sql", kinds=list(kinds), oids=list(oids), attnums=list(attnums))
        frontier = []
        for on_kind, on_oid, kind, oid, description, catalog in found:
            on, node = Node(on_kind, on_oid), Node(kind, oid)
            root = on.kind == "class" and on.oid in roots
            if not kind:
                if (not root or catalog == "pg_rewrite") and (on.kind, catalog) != ("class", "pg_policy"):
                    graph.others.append((description, catalog, on))
                continue
            if node not in graph.above:
                graph.above[node] = set()
                frontier.append((kind, oid, WHOLE))
            if not root and node != on:
                graph.above[node].add(on)
            elif node == on and kind == "proc":
                graph.others.append((description, "recursion", on))
    return graph


def _order(above: dict[Node, set[Node]]) -> tuple[dict[Node, int], list[tuple[Node, Node]]]:
    """Ranks, and the pairs of a cycle if there is one: then no order exists, and it is refused."""
    try:
        order = list(TopologicalSorter({n: sorted(above[n]) for n in sorted(above)}).static_order())
    except CycleError as e:
        members = e.args[1]
        return dict.fromkeys(above, 0), list(zip(members[1:], members, strict=False))
    return {n: i for i, n in enumerate(order)}, []


def _views(conn: Connection, oids: list[int]) -> list[View]:
    parts: dict[int, list[ViewPart]] = defaultdict(list)
    for r in query(conn, "view_parts.sql", oids=oids):
        parts[r[0]].append(ViewPart(*r[1:]))
    acls = _grants(conn, "grants.sql", oids)
    return [
        View(
            oid=r[0], name=TableName(r[1], r[2]), owner=r[3], kind=r[4], definition=r[5].rstrip().rstrip(";"),
            options=tuple(r[6]), comment=r[7], owner_privileges=() if r[9] else tuple(r[8]) if r[8] is not None else None,
            persistence=r[10], extension=r[11], tablespace=r[12], access_method=r[13],
            toast_options=tuple(r[14]), populated=r[15], replident=r[16], reads_bytes=r[17], unfilled=r[18],
            parts=tuple(parts[r[0]]), grants=tuple(acls[r[0]]), rank=0,
        )
        for r in query(conn, "views.sql", oids=oids)
    ]  # fmt: skip


def _functions(conn: Connection, oids: list[int]) -> list[Function]:
    acls = _grants(conn, "function_grants.sql", oids)
    return [
        Function(r[0], TableName(r[1], r[2]), r[3], r[4], r[5].rstrip(), *(*r[6:], tuple(acls[r[0]]), 0))
        for r in query(conn, "functions.sql", oids=oids)
    ]  # fmt: skip


def _grants(conn: Connection, file: str, oids: list[int]) -> dict[int, list[Grant]]:
    out: dict[int, list[Grant]] = defaultdict(list)
    for r in query(conn, file, oids=oids):
        out[r[0]].append(Grant(*r[1:]))
    return out
