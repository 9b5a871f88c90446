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

STABLE = "Write it without what depends on settings, the role or the time: a constant in place of now(), an enum as itself and not as text."


class UnnamedOperatorError(UsageError):
    """A `where` whose text, as the server prints it, does not say which operator it means."""


class UnstableConditionError(UsageError):
    """A `where` that depends on more than the row."""


class OwnConditionError(UsageError):
    """A `where` of a reference in the source itself."""


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
    if ref.own:
        raise OwnConditionError(
            f"{ref.table}.{ref.column} holds keys of several types (`where`), and is in the source itself, which is rebuilt beside.",
            hint=f'Remove this [[reference]], and write ignore = ["{ref.table}.{ref.column}"]: the column keeps its integers, and'
            " the application resolves them (docs/limits.md).",
        )
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
            f"The `where` of the reference {ref.table}.{ref.column} uses the reference itself, whose columns change.",
            hint="Write it over the other columns of the table, such as the type column of a polymorphic pair.",
        )
    if printed.path:
        raise UnnamedOperatorError(
            f"The `where` of the reference {ref.table}.{ref.column} compares with an operator of {' and '.join(printed.path)} that its"
            " text cannot name (IS DISTINCT FROM, NULLIF, CASE x WHEN).",
            hint="Write it with the operator itself, such as NOT (a = b) in place of IS DISTINCT FROM.",
        )
    if why := unstable(conn, table, ref.where, path):
        raise UnstableConditionError(f"The `where` of the reference {ref.table}.{ref.column} {why}.", hint=STABLE)
    return replace(ref, where=printed.text, types=tuple(sorted(printed.columns)))


def unstable(conn: Connection, table: Table, where: str, path: tuple[str, ...]) -> str | None:
    """Why the condition is not a function of the row alone; None where it is.

    It is evaluated in the sessions of the application too, and again later: what depends on a setting, a role or the time would
    make one row a reference in one of them and not in another (invariant 3, H54)."""
    try:
        with scratch_table(conn, map(like, table.columns)) as scratch:
            scratch.add_immutable(where, path)
    except CannotBuildError as e:
        return f"depends on more than the row ({e})"
    return None
