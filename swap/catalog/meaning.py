"""What stored expressions use, so that a text of the server's is run as what it was printed from, and nothing else (I10, H53).

The server prints an operator with its schema where the session's search_path does not lead to it: `OPERATOR(public.=)`. Some
syntax has no place for a schema: IS DISTINCT FROM, NULLIF, CASE x WHEN, JOIN … USING, comparisons of rows. Over citext such a text,
run under `pg_catalog`, silently means `text = text`, and prints as before.

So this module reads the operators of the stored expression itself. `path` is what the text has to be run with besides pg_catalog;
`uses` is what an object made by the text must use again. The printed texts are not compared with each other: the server prints a
list of varchar constants in another way when its own text is run again (`status IN ('a', 'b')`), with the same meaning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from swap.catalog.parts import PLAIN, Check, Column, Index, Meaning, Policy, Trigger
from swap.catalog.query import query
from swap.core.connection import Connection

Named = TypeVar("Named", Column, Index, Check, Trigger, Policy)


class Meanings:
    """The meanings of the expressions of some relations and functions."""

    def __init__(self, conn: Connection, oids: Iterable[int], functions: Iterable[int] = ()) -> None:
        rows = query(conn, "meaning.sql", oids=list(oids), functions=list(functions))
        self._found = {(r["of_oid"], r["kind"], r["name"]): Meaning(tuple(r["path"]), tuple(r["uses"])) for r in rows}

    def of(self, oid: int, kind: str, name: str) -> Meaning:
        """Of one part of a relation. `kind`: column, check, index, trigger, policy, rule or statistics."""
        return self._found.get((oid, kind, name), PLAIN)

    def find(self, oid: int, kind: str, name: str) -> Meaning | None:
        """As `of`, and None for a part without an expression: there is none, or it was not built."""
        return self._found.get((oid, kind, name))

    def whole(self, oid: int) -> Meaning:
        """Of a view with all the parts that it is made again with, or of a function."""
        return together(m for (of_oid, kind, _), m in self._found.items() if of_oid == oid and kind != "statistics")

    def give(self, kind: str, parts: dict[int, tuple[Named, ...]]) -> dict[int, tuple[Named, ...]]:
        """The parts, by the relation that they are parts of, each with its meaning."""
        meant = {oid: tuple(replace(p, meaning=self.of(oid, kind, p.name)) for p in found) for oid, found in parts.items()}
        return defaultdict(tuple, meant)


def together(meanings: Iterable[Meaning]) -> Meaning:
    """The meaning of several expressions that one statement makes."""
    found = list(meanings)
    path = dict.fromkeys(schema for m in found for schema in m.path)
    return Meaning(tuple(path), tuple(sorted(used for m in found for used in m.uses)))
