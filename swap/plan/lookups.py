"""How the other key of a source's row is found, as an SQL expression over a captured row (I3).

The rows of the live source are asked first, then the exceptions, then the derivation. So rows that were deleted, rows that were
born while the uuid led, and a second cutover keep their uuids.

- An adopted or added identity column: the live row's uuid, then the exceptions.
- Derived uuids before the cutover: the exceptions, then the derivation. The source itself is not read.
- After the cutover: the live row's integer, then the exceptions, then, with derived uuids, the inverse of the derivation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Column
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.plan.model import Plan
from swap.plan.rows_of import rows_of


@dataclass(frozen=True)
class Lookups:
    """One direction. `live_key`, `live_value`: the columns of the live source that hold the given key and the wanted one; None:
    the source does not hold that one. `exceptions`: the table (key, uuid). `derivation`: the function that computes the wanted key,
    None where uuids are not derived. `secrets`, `tag`: the table of the secrets, and the row in it. `partitioned`: the source is."""

    to_uuid: bool
    live: TableName
    live_key: str | None
    live_value: str | None
    exceptions: TableName
    derivation: TableName | None
    secrets: TableName
    tag: int
    partitioned: bool = False

    def value(self, given: sql.Composable, column: Column | None) -> sql.Composable:
        """The wanted key for `given`; NULL for NULL and for a key that belongs to no row. `column`: whose type an integer has.

        Each part is a scalar subquery. It costs one index probe per row, whatever the plan for the rest is. Whether there are
        exceptions at all is asked once for a statement. Every operator has its schema: the expression is a part of statements that run
        under the application's search_path.
        """
        found = sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(
            given, self._first([*self._live(given), *self._gone(given)])
        )
        return self._typed(found, column)

    def one_to_one(self, given: sql.Composable, column: Column | None, back: Lookups) -> sql.Composable:
        """The same for a key of the table that refers. NULL also for a key that another one has taken the place of: after an UPDATE of
        a row's uuid both name its integer, and only one row may have it in its key. `back`: gives the other key's key now."""
        told = sql.SQL("(SELECT x.told FROM (SELECT {} AS told OFFSET 0) x WHERE {} OPERATOR(pg_catalog.=) {})").format(
            self._first(self._gone(given)), back.value(sql.SQL("x.told"), None), given
        )
        found = sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(given, self._first([*self._live(given), told]))
        return self._typed(found, column)

    def _typed(self, found: sql.Composable, column: Column | None) -> sql.Composable:
        if self.to_uuid or column is None:
            return found
        return sql.SQL("({})::").format(found) + verbatim(column.type)

    def _first(self, parts: list[sql.Composed]) -> sql.Composed:
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(parts))

    def _gone(self, given: sql.Composable) -> list[sql.Composed]:
        """Of a row that does not live."""
        return [self._exception(given), *([self.derived(given)] if self.derivation else [])]

    def _live(self, given: sql.Composable) -> list[sql.Composed]:
        if self.live_value is None or self.live_key is None:
            return []
        row = sql.SQL("(SELECT p.{} FROM {} p WHERE p.{} OPERATOR(pg_catalog.=) {})")
        return [
            row.format(
                sql.Identifier(self.live_value), rows_of(self.live, whole=self.partitioned), sql.Identifier(self.live_key), given
            )
        ]

    def _exception(self, given: sql.Composable) -> sql.Composed:
        wanted, by = ("uuid", "key") if self.to_uuid else ("key", "uuid")
        return sql.SQL(
            "CASE WHEN (SELECT EXISTS (SELECT FROM {table})) THEN"
            " (SELECT e.{wanted} FROM {table} e WHERE e.{by} OPERATOR(pg_catalog.=) {given}) END"
        ).format(table=self.exceptions.sql, wanted=sql.Identifier(wanted), by=sql.Identifier(by), given=given)

    def derived(self, given: sql.Composable) -> sql.Composed:
        """The wanted key as the derivation has it: NULL for a uuid that is not derived."""
        assert self.derivation is not None
        return sql.SQL("{}({}, {}, {})").format(self.derivation.sql, given, self._secret(1), self._secret(33))

    def _secret(self, position: int) -> sql.Composed:
        """32 bytes of the secret, read once for a statement: it is in no text that the server logs or shows."""
        return sql.SQL(
            "(SELECT pg_catalog.substr(pg_catalog.lo_get(x.object), {}, 32) FROM {} x WHERE x.tag OPERATOR(pg_catalog.=) {})"
        ).format(sql.Literal(position), self.secrets.sql, sql.Literal(self.tag))


class KeyLookups(NamedTuple):
    """`before`: how a captured key is resolved as it was when the maintained side was written last. `back`: a maintained key, as it was
    then; `back_now`: as it is now."""

    before: Lookups
    back: Lookups
    back_now: Lookups


def key_lookups(plan: Plan, *, forward: bool) -> KeyLookups:
    """For a table with a reference in its key, before the cutover (`forward`) and after it."""
    return KeyLookups(
        before=maintained_lookups(plan, forward=forward, to_uuid=forward),
        back=maintained_lookups(plan, forward=forward, to_uuid=not forward),
        back_now=lookups(plan, forward=forward, to_uuid=not forward),
    )


def lookups(plan: Plan, *, forward: bool, to_uuid: bool) -> Lookups:
    """How keys of the source are resolved before the cutover (`forward`) and after it, to the uuid or to the integer."""
    integer, uuid = (plan.key, None if plan.derived else plan.identity) if forward else (plan.legacy_key, plan.key)
    return _lookups(plan, plan.source, integer, uuid, to_uuid=to_uuid)


def maintained_lookups(plan: Plan, *, forward: bool, to_uuid: bool) -> Lookups:
    """The same as the maintained side knows it: as it was when its rows were written last. The shadow, and the retired table, have the
    names of before the cutover."""
    return _lookups(
        plan, plan.shadow if forward else plan.retired, plan.key, None if plan.derived else plan.identity, to_uuid=to_uuid
    )


def _lookups(plan: Plan, live: TableName, integer: str, uuid: str | None, *, to_uuid: bool) -> Lookups:
    live_key, live_value = (integer, uuid) if to_uuid else (uuid, integer)
    derivation = None
    if plan.derived:
        derivation = TableName(plan.state_schema, "derived_uuid" if to_uuid else "derived_key")
    return Lookups(
        to_uuid=to_uuid, live=live, live_key=live_key, live_value=live_value, exceptions=plan.exceptions,
        derivation=derivation, secrets=TableName(plan.state_schema, "secret"), tag=plan.tag,
        partitioned=plan.swapped[0].partitioned,
    )  # fmt: skip
