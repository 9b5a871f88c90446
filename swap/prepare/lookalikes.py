"""Columns that look like references to the source and have no foreign key (H24): listed with evidence, never guessed.

Three kinds of evidence: the name (`user_id`, `created_by_user_id` for `users`), a polymorphic pair whose type
column names the source (`actor_type = 'User'`), and values (a column `author_id` whose sampled values are keys of
the source while no other table would explain the name). Samples are bounded in rows and in time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.text import load_sql
from swap.prepare.checks_base import PACKAGE, Finding, bounded, or_ok, qualified, read, warning

SAMPLE_MS = 2000
WHOLE_TABLE_ROWS = 100_000  # up to here a sample reads from the beginning; above, random pages
ENOUGH_VALUES = 5
IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "data": "datum"}


@dataclass(frozen=True)
class LookAlike:
    """A column that may hold keys of the source. `where` as `[[reference]]` wants it, for polymorphic pairs."""

    table: TableName
    column: str
    where: str | None
    evidence: str

    @property
    def label(self) -> str:
        """What `ignore` calls it: schema.table.column."""
        return qualified(self.table, self.column)


class Candidate(NamedTuple):
    """One row of lookalikes_columns.sql; `type_column` is `x_type` beside `x_id`."""

    oid: int
    schema: str
    relation: str
    column: str
    type_column: str | None
    rows_estimate: int

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.relation)


def singular(name: str) -> str:
    """The English singular of a table's name, by its ending; a name that is none stays as it is."""
    head, _, last = name.rpartition("_")
    stem = _singular(last)
    return f"{head}_{stem}" if head else stem


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("uses", "us")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def snake(name: str) -> str:
    """`createdByUserId` -> `created_by_user_id`."""
    out = ""
    for i, c in enumerate(name):
        new_word = c.isupper() and i and (name[i - 1].islower() or name[i + 1 : i + 2].islower()) and name[i - 1] != "_"
        out += ("_" if new_word else "") + c.lower()
    return out


def names_source(column: str, source: str, key: str) -> bool:
    """Whether the column is called after the source: `user_id`, `owner_user_id`, `userId`, `userid`."""
    name, table = snake(column), snake(source)
    for stem in {table, singular(table)}:
        for ending in {f"{stem}_{snake(key)}", f"{stem}_id", f"{stem}id"}:
            if name == ending or name.endswith("_" + ending):
                return True
    return False


def names_class(value: str, source: str) -> bool:
    """Whether a type column's value means the source: `User`, `users`, `App\\Models\\User`, `Admin::User`."""
    last = value.replace("::", "/").replace("\\", "/").replace(".", "/").rpartition("/")[2]
    table = snake(source)
    return snake(last) in {table, singular(table)}


def look_alikes(conn: Connection, source: TableName, key: str, state_schema: str = "swap") -> list[LookAlike]:
    """Every look-alike in the database. Reads samples: ACCESS SHARE, at most `SAMPLE_MS` each."""
    candidates = [Candidate(*r) for r in read(conn, "lookalikes_columns.sql", state_schema=state_schema)]
    relations = {r[0] for r in read(conn, "lookalikes_relations.sql")}
    out = []
    for c in candidates:
        if c.table == source and c.column == key:
            continue
        if names_source(c.column, source.name, key):
            out.append(LookAlike(c.table, c.column, None, f"an integer without a foreign key, called after {source}"))
        elif c.type_column is not None:
            out += _polymorphic(conn, c, source)
        elif _unexplained(c.column, relations):
            out += _by_value(conn, c, source, key)
    return out


def _polymorphic(conn: Connection, c: Candidate, source: TableName) -> list[LookAlike]:
    assert c.type_column is not None
    statement = load_sql(PACKAGE, "lookalikes_types.sql").format(
        type=sql.Identifier(c.type_column), column=sql.Identifier(c.column), table=c.table.sql, sample=_sample(c)
    )
    rows = bounded(conn, statement, SAMPLE_MS)
    pair = f"{quote(c.type_column)} + {quote(c.column)}"
    if isinstance(rows, str):
        return [LookAlike(c.table, c.column, None, f"{pair} looks like a polymorphic pair; its types were {rows}")]
    values = sorted(r[0] for r in rows if names_class(r[0], source.name))
    if not values:
        return []
    literals = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
    where = f"{_sql_name(c.type_column)} = {literals}" if len(values) == 1 else f"{_sql_name(c.type_column)} IN ({literals})"
    return [LookAlike(c.table, c.column, where, f"{pair} is a polymorphic pair, and rows name {', '.join(values)}")]


def _sql_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if quote(name) != name else name


def _unexplained(column: str, relations: set[str]) -> bool:
    """`author_id` or `created_by` where no table is called author(s)."""
    name = snake(column)
    if name.endswith("_by"):
        return True
    if not name.endswith("_id"):
        return False
    stem = name.removesuffix("_id")
    known = {s for r in relations for s in (snake(r), singular(snake(r)))}
    return not any(stem == k or stem.endswith("_" + k) for k in known)


def _by_value(conn: Connection, c: Candidate, source: TableName, key: str) -> list[LookAlike]:
    statement = load_sql(PACKAGE, "lookalikes_values.sql").format(
        column=sql.Identifier(c.column),
        table=c.table.sql,
        key=sql.Identifier(key),
        source=source.sql,
        sample=_sample(c),
    )
    rows = bounded(conn, statement, SAMPLE_MS)
    if isinstance(rows, str):
        return [LookAlike(c.table, c.column, None, f"no table explains its name; its values were {rows}")]
    values, known = rows[0]
    if values < ENOUGH_VALUES or known < 0.9 * values:
        return []
    evidence = f"{known} of {values} sampled values are keys of {source}, and no table explains its name"
    return [LookAlike(c.table, c.column, None, evidence)]


def _sample(c: Candidate) -> sql.Composable:
    if c.rows_estimate <= WHOLE_TABLE_ROWS:
        return sql.SQL("")
    percent = max(100 * WHOLE_TABLE_ROWS / c.rows_estimate, 0.001)
    return sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(round(percent, 3)))


def check_look_alikes(found: Iterable[LookAlike], declared: set[tuple[TableName, str]], ignore: list[str]) -> list[Finding]:
    """A warning for each look-alike that is neither declared nor ignored."""
    left = [x for x in found if (x.table, x.column) not in declared and not _ignored(x, ignore)]
    rows = [
        warning(
            "look-alike", x.label, f"{x.evidence}. If it refers to the source, the migration would leave it behind",
            f"Declare it with [[reference]]{f' and the condition ({x.where})' if x.where else ''}, or list it in `ignore`.",
        )
        for x in left
    ]  # fmt: skip
    return or_ok(rows, "look-alike", "database", "no undeclared column looks like a reference")


def _ignored(x: LookAlike, ignore: list[str]) -> bool:
    plain = f"{x.table.schema}.{x.table.name}.{x.column}"
    return x.label in ignore or plain in ignore
