"""Keys in text columns, beside a column that says of which type they are: `object_id` of an admin log, `object_pk` of permissions.

The type is named by a text (`object_type = 'User'`), or by a key of a table of types whose row names the source (`content_type_id`:
`auth`, `user` for `auth_user`). Such a column is listed where values of that type are written as integers and are keys.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql, verbatim
from swap.doctor.finding import PACKAGE, NotChecked, read
from swap.doctor.look_alike_names import names_class
from swap.doctor.look_alikes import WHOLE_TABLE_ROWS, Candidate, LookAlike, Sample, Search, TypeValue


class _Found(NamedTuple):
    """A text column, and the column of its types. `type_relation`: the table that this one refers to."""

    schema: str
    relation: str
    column: str
    type_column: str
    rows_estimate: int
    type_schema: str | None
    type_relation: str | None
    type_key: str | None

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.schema, self.relation, self.column, self.type_column, self.rows_estimate)


class _Type(NamedTuple):
    """A row of a table of types: its key, and its texts."""

    value: str
    texts: list[str]


def text_columns(search: Search) -> list[LookAlike]:
    """Every text column that holds keys of the source as text."""
    out = []
    for c in read(search.conn, _Found, "look_alikes_texts.sql", state_schema=search.state_schema):
        where = _by_key(search, c) if c.type_key else _by_text(search, c)
        if where and (found := _sample(search, c, where)):
            pair = f"{quote(c.type_column)} + {quote(c.column)}"
            evidence = f"{pair} holds keys of several types as text; {found.evidence(search.source)}"
            out.append(LookAlike(c.candidate.table, c.column, where, evidence, text=True))
    return out


def _by_text(search: Search, c: _Found) -> str | None:
    rows = search.read(
        TypeValue,
        load_sql(PACKAGE, "look_alikes_types.sql").format(
            type=sql.Identifier(c.type_column),
            column=sql.Identifier(c.column),
            table=c.candidate.table.sql,
            sample=c.candidate.sample,
            limit=sql.Literal(WHOLE_TABLE_ROWS),
        ),
    )
    values = [] if isinstance(rows, NotChecked) else sorted(r.value for r in rows if names_class(r.value, search.source.name))
    literals = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
    return f"{quote(c.type_column)} IN ({literals})" if values else None


def _by_key(search: Search, c: _Found) -> str | None:
    """The one row of the table of types that names the source: by one of its texts, or by two of them together."""
    assert c.type_relation is not None
    rows = search.read(
        _Type,
        sql.SQL(
            "SELECT t.{}::text AS value, ARRAY(SELECT v.value FROM jsonb_each_text(to_jsonb(t)) v WHERE v.value IS NOT NULL"
            " ORDER BY v.key) AS texts FROM {} t ORDER BY 1 LIMIT 2000"
        ).format(sql.Identifier(c.type_key or ""), TableName(c.type_schema or "", c.type_relation).sql),
    )  # fmt: skip
    if isinstance(rows, NotChecked):
        return None
    table = search.source.name
    both = [t.value for t in rows if any(f"{a}_{b}" == table for a in t.texts for b in t.texts)]
    named = both or [t.value for t in rows if any(names_class(x, table) for x in t.texts)]
    return f"{quote(c.type_column)} = {named[0]}" if len(named) == 1 and named[0].isdigit() else None


def _sample(search: Search, c: _Found, where: str) -> Sample | None:
    """The sample, where a value of it is a key."""
    rows = search.read(
        Sample,
        load_sql(PACKAGE, "look_alikes_text_values.sql").format(
            column=sql.Identifier(c.column),
            table=c.candidate.table.sql,
            sample=c.candidate.sample,
            where=verbatim(where),
            key=sql.Identifier(search.key),
            source=search.source.sql,
        ),
    )
    return None if isinstance(rows, NotChecked) or not rows[0].known else rows[0]
