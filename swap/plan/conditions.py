"""The `where` of references, as the server prints it."""

from __future__ import annotations

from dataclasses import replace

from swap.catalog.application import application_settings, schemas_of
from swap.catalog.model import Catalog, Table
from swap.catalog.scratch import CannotBuildError, like, scratch_table
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import UsageError
from swap.plan.model import RefColumns


class UnnamedOperatorError(UsageError):
    """A `where` whose text, as the server prints it, does not say which operator it means."""


def with_conditions(
    conn: Connection, catalog: Catalog, config: Config, references: tuple[RefColumns, ...]
) -> tuple[RefColumns, ...]:
    """The references, each with its `where` as the server prints it, read with the application's search_path. Raises UsageError."""
    path = condition_path(conn, catalog, config) if any(r.where is not None for r in references) else ()
    return tuple(with_condition(conn, catalog.table(r.table), r, path) for r in references)


def condition_path(conn: Connection, catalog: Catalog, config: Config) -> tuple[str, ...]:
    """The schemas with which the operator's conditions are read: the application's search_path."""
    return schemas_of(conn, application_settings(conn, catalog.source.owner, config.application.settings))


def with_condition(conn: Connection, table: Table, ref: RefColumns, path: tuple[str, ...]) -> RefColumns:
    """The reference with its `where` as the server prints it.

    Raises UsageError where it is not one expression over the other columns of the table, or where its text does not say all that it
    means: it is a part of many statements, which are swap's own.
    """
    if ref.where is None:
        return ref
    try:
        with scratch_table(conn, map(like, table.columns)) as scratch:
            scratch.add_check(ref.where, path)
            printed = scratch.check
    except CannotBuildError as e:
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} is not a condition over that table: {e}.",
            hint="Write one SQL condition over the table's own columns, such as \"actor_type = 'User'\".",
        ) from None
    if {ref.column, ref.uuid_column} & printed.columns:
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} uses the reference itself, which is a uuid afterwards.",
            hint="Write it over the other columns of the table, such as the type column of a polymorphic pair.",
        )
    if printed.path:
        raise UnnamedOperatorError(
            f"The `where` of the reference {ref.table}.{ref.column} compares with an operator of {' and '.join(printed.path)} that its"
            " text cannot name (IS DISTINCT FROM, NULLIF, CASE x WHEN).",
            hint="Write it with the operator itself, such as NOT (a = b) in place of IS DISTINCT FROM.",
        )
    return replace(ref, where=printed.text)
