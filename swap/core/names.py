"""Names: qualified table names, and generated names that stay unique and recognisable within 63 bytes.

PostgreSQL cuts identifiers at NAMEDATALEN - 1 = 63 bytes (src/include/pg_config_manual.h), with a NOTICE only: two long names
with the same beginning would become one. `derive` cuts the name and keeps the suffix.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from psycopg import sql

MAX_BYTES = 63


def cut(name: str, limit: int) -> str:
    """`name` cut to `limit` bytes of UTF-8 without splitting a character."""
    return name.encode()[:limit].decode(errors="ignore")


def derive(name: str, suffix: str) -> str:
    """`name` + `suffix`; when that exceeds 63 bytes, the name is cut and a short digest keeps it unique."""
    if len((name + suffix).encode()) <= MAX_BYTES:
        return name + suffix
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return cut(name, MAX_BYTES - len(suffix.encode()) - 7) + "_" + digest + suffix


def expand(template: str, table: str) -> str:
    """The template `{table}_new` for a table. Where the template only appends, a long name is cut as `derive` does."""
    if template.startswith("{table}") and "{table}" not in template[7:]:
        return derive(table, template[7:]) if len(template[7:].encode()) < MAX_BYTES // 2 else table + template[7:]
    return template.replace("{table}", table)


def with_part(column: str, part: str) -> str:
    """`user_id` becomes `user_<part>_id`. A column that does not end in `_id` becomes `<column>_<part>`."""
    if column.endswith("_id") and column != "_id":
        return derive(column[: -len("_id")], f"_{part}_id")
    return derive(column, f"_{part}")


@dataclass(frozen=True, order=True)
class TableName:
    """A schema-qualified name of a relation or a routine, not quoted: as the catalog holds it."""

    schema: str
    name: str

    @property
    def sql(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    def renamed(self, name: str) -> TableName:
        return TableName(self.schema, name)


def quote(name: str) -> str:
    """The identifier as a person writes it: quoted only where necessary."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    if plain and name == name.lower():
        return name
    return '"' + name.replace('"', '""') + '"'


def parse_table(text: str) -> TableName:
    """Parse `schema.table`, quoted as in SQL where necessary. A name without a schema is in `public`. Raises ValueError."""
    parts: list[str] = []
    i = 0
    while True:
        if i < len(text) and text[i] == '"':
            part, i = _quoted(text, i + 1)
        else:
            end = text.find(".", i)
            end = len(text) if end < 0 else end
            part, i = text[i:end], end
            if not part or part != part.strip() or '"' in part:
                raise ValueError(f"{text!r} is not a table name: write schema.table")
        parts.append(part)
        if i == len(text):
            break
        if text[i] != ".":
            raise ValueError(f"{text!r} is not a table name: write schema.table")
        i += 1
    if len(parts) == 1:
        return TableName("public", parts[0])
    if len(parts) == 2:
        return TableName(parts[0], parts[1])
    raise ValueError(f"{text!r} is not a table name: write schema.table")


def _quoted(text: str, i: int) -> tuple[str, int]:
    out: list[str] = []
    while i < len(text):
        if text[i] == '"':
            if text[i + 1 : i + 2] != '"':
                if not out:
                    break
                return "".join(out), i + 1
            i += 1
        out.append(text[i])
        i += 1
    raise ValueError(f"{text!r} is not a table name: a quote is not closed")
