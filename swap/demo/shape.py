"""The columns that hold the users' keys now. Nothing else changes for the application in a migration.

Before the cutover `users.id` is the integer, and a uuid column may exist beside it. After it `users.id` is the uuid, and the integer
is `legacy_id`. After a revert it is as before. The same holds for every reference.

A `Shape` is read from the catalog, and kept until a statement fails with one of `SHAPE_ERRORS`. It may be out of date as soon as it
is read. So each key that is sent or read is cast (`id::bigint`, `id::uuid`): PostgreSQL has no cast between the two, and a statement
with a stale shape fails instead of meaning something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import errors, sql
from psycopg.rows import TupleRow, class_row

SHAPE_ERRORS: Final = (
    errors.UndefinedColumn,
    errors.UndefinedFunction,  # operator does not exist: uuid = bigint
    errors.UndefinedTable,
    errors.DatatypeMismatch,
    errors.CannotCoerce,
    errors.InvalidTextRepresentation,
    errors.FeatureNotSupported,  # cached plan must not change result type
    errors.NotNullViolation,  # only one side of a reference was written, and no trigger fills the other any more
)

# The column of each table that refers to users. The names of the columns beside it are made from it.
REFERENCE_COLUMNS: Final[Mapping[str, str]] = {
    "sessions": "user_id",
    "api_access_tokens": "user_id",
    "partner_applications": "created_by_user_id",
    "user_roles": "user_id",
    "audit_logs": "actor_id",
    "users": "invited_by_id",
}


@dataclass(frozen=True)
class KeyColumns:
    """The columns of one key or reference; None where the table has no such column now. `base`: the one that the application names.
    `guarded`: a trigger fills the other column."""

    integer: str | None
    uuid: str | None
    base: str
    guarded: bool = False

    @property
    def is_uuid(self) -> bool:
        """Whether the base column is the uuid: after the cutover."""
        return self.base == self.uuid

    @property
    def names(self) -> list[str]:
        """The columns that exist, the integer first."""
        return [name for name in (self.integer, self.uuid) if name is not None]

    def selection(self, alias: str | None = None) -> sql.Composed:
        """Two output columns, integer and uuid, each cast to its type."""
        return sql.SQL("{}, {}").format(_cast(self.integer, alias, sql.SQL("bigint")), _cast(self.uuid, alias, sql.SQL("uuid")))


@dataclass(frozen=True)
class Shape:
    """The key of users, and every reference to it by its table. The reference of `users` is `invited_by_id`."""

    key: KeyColumns
    references: Mapping[str, KeyColumns]


class _Table(NamedTuple):
    """A table with its columns, in order. `guarded`: it has a trigger that may fill a column."""

    name: str
    names: list[str]
    types: list[str]
    guarded: bool

    @property
    def columns(self) -> dict[str, str]:
        return dict(zip(self.names, self.types, strict=True))


def detect(conn: psycopg.Connection[TupleRow]) -> Shape:
    """Read the shape from the catalog, in one statement and without a lock on the tables. Raises psycopg's UndefinedTable where the
    example application is not installed."""
    query = resources.files(__package__).joinpath("shape.sql").read_bytes()
    rows = conn.cursor(row_factory=class_row(_Table)).execute(query)
    tables = {table.name: table for table in rows}
    missing = REFERENCE_COLUMNS.keys() - tables.keys()
    if missing:
        raise errors.UndefinedTable(f"the example application is not installed here: no {sorted(missing)}")
    return Shape(
        key=_columns(tables["users"].columns, "id", ("uuid_id",), ("legacy_id",)),
        references={
            table: _columns(
                tables[table].columns,
                base,
                (f"{base.removesuffix('_id')}_uuid_id", f"{base}_uuid"),
                (f"{base.removesuffix('_id')}_legacy_id", f"{base}_legacy"),
                guarded=tables[table].guarded,
            )
            for table, base in REFERENCE_COLUMNS.items()
        },
    )


def _columns(
    types: Mapping[str, Any],
    base: str,
    uuid_names: tuple[str, ...],
    integer_names: tuple[str, ...],
    *,
    guarded: bool = False,
) -> KeyColumns:
    if types[base] == "uuid":
        return KeyColumns(_first(integer_names, types, "bigint"), base, base, guarded)
    return KeyColumns(base, _first(uuid_names, types, "uuid"), base, guarded)


def _first(names: tuple[str, ...], types: Mapping[str, Any], wanted: str) -> str | None:
    return next((name for name in names if types.get(name) == wanted), None)


def _cast(column: str | None, alias: str | None, type_name: sql.SQL) -> sql.Composed:
    if column is None:
        return sql.SQL("NULL::{}").format(type_name)
    identifier = sql.Identifier(column) if alias is None else sql.Identifier(alias, column)
    return sql.SQL("{}::{}").format(identifier, type_name)
