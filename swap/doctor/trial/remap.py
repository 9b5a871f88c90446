"""The same plan in other schemas.

Tables keep their names. So text that the server printed stays valid when the schema in front of a table's name is
replaced.

Printed text names every table as `schema.table` (it is printed under `search_path = pg_catalog`), and columns by an
alias, never by `schema.table.column` (ruleutils.c, get_variable). So swap replaces these pairs and nothing else, and
parses no SQL. An alias that is called like a schema, with a column called like a moved table, would be taken for the
table. That is all that can go wrong.
Rejected: a search_path under which the server prints names unqualified. It cannot tell two tables of one name in two
schemas apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import TypeVar

from swap.core.names import TableName, quote

T = TypeVar("T")


class SchemaRemap:
    """Which relations are elsewhere, and where: `{public.users: scratch}`."""

    def __init__(self, schemas: Mapping[TableName, str]) -> None:
        self.schemas = dict(schemas)
        self._by_text = {_quoted(t.schema) + "." + _quoted(t.name): s for t, s in self.schemas.items()}
        pairs = sorted((_pattern(t) for t in self.schemas), key=len, reverse=True)
        self._pattern = re.compile("|".join(pairs)) if pairs else None

    def text(self, text: str) -> str:
        """`text` with every moved relation in its new schema, in string constants and function bodies too."""
        return self._pattern.sub(self._moved, text) if self._pattern else text

    def name(self, table: TableName) -> TableName:
        """The relation by its name in its new schema."""
        return TableName(self.schemas.get(table, table.schema), table.name)

    def back(self, table: TableName) -> TableName:
        """The relation that is called `table` now, by its own name."""
        was = (t for t, schema in self.schemas.items() if schema == table.schema and t.name == table.name)
        return next(was, table)

    def path(self, schemas: Sequence[str]) -> tuple[str, ...]:
        """A search_path over the moved relations: where they are now is looked at before where they were."""
        moved = {t.schema: s for t, s in self.schemas.items()}
        return tuple(x for s in schemas for x in ((moved[s], s) if s in moved else (s,)))

    def named_back(self, used: str) -> str:
        """What a moved expression uses (Meaning.uses), by the schema that the reader knows."""
        for schema, moved in {(t.schema, s) for t, s in self.schemas.items()}:
            used = used.replace(f" {moved}.", f" {schema}.", 1)
        return used

    def readable(self, message: str) -> str:
        """A message of the server about a moved relation, with the schema that the reader knows."""
        for schema, moved in {(t.schema, s) for t, s in self.schemas.items()}:
            message = message.replace(f'"{moved}".', f"{quote(schema)}.").replace(f"{moved}.", f"{quote(schema)}.")
        return message

    def plan(self, value: T) -> T:
        """A dataclass (or tuple) with every table name and every text in it moved."""
        if isinstance(value, TableName):
            return self.name(value)  # type: ignore[return-value]
        if isinstance(value, str):
            return self.text(value)  # type: ignore[return-value]
        if isinstance(value, tuple):
            return tuple(self.plan(v) for v in value)  # type: ignore[return-value]
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: self.plan(getattr(value, f.name)) for f in fields(value)})
        return value

    def _moved(self, found: re.Match[str]) -> str:
        schema, relation = _split(found.group())
        return f"{_quoted(self._by_text[_folded(schema) + '.' + _folded(relation)])}.{relation}"


PART = re.compile(r'\s*("(?:[^"]|"")+"|[^\s".]+)\s*')


def _split(pair: str) -> tuple[str, str]:
    first = PART.match(pair)
    assert first is not None
    return first.group(1), pair[first.end() + 1 :].strip()


@cache
def _pattern(table: TableName) -> str:
    return rf'(?<![\w$".]){_part(table.schema)}\s*\.\s*{_part(table.name)}(?![\w$])'


def _part(name: str) -> str:
    """A pattern for the ways to write a name: quoted or, where it is lower case, bare in any case."""
    quoted = re.escape(_quoted(name))
    bare = re.fullmatch(r"[^\W\d][\w$]*", name) and name == name.lower()
    return f"(?:{quoted}|(?i:{re.escape(name)}))" if bare else quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _folded(written: str) -> str:
    """A name as the server reads it, quoted."""
    return written if written.startswith('"') else _quoted(written.lower())
