"""A direction is data: two tables, their keys, and where each maintained column's value comes from.

Forward, before the cutover, the source is captured and the shadow is maintained. Reverse, after it, the new table is
captured and the retired one is maintained. Backfill, replay and verification read only the mapping of a direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from swap.catalog.model import Column, Table
from swap.core.names import TableName
from swap.plan.lookups import KeyLookups, Lookups, key_lookups, lookups
from swap.plan.model import INTEGERS, Plan, SwappedTable
from swap.plan.rows_of import rows_of

UUID = "pg_catalog.uuid"


class Direction(StrEnum):
    """Which way changes flow. The values are in the journal and in the names of functions in the database."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True)
class ColumnMapping:
    """`target` of the maintained table is `origin` of the captured one. `column`: the catalog's entry of the value's column.

    With `lookup` it is the other key of the source's row that `origin` names: the uuid before the cutover, the integer after it.
    `written` False: the server generates it. `beside`: after the cutover, the column with the integer beside the uuid. It counts
    where the uuid is NULL: it then holds what the application had written before, a key that belongs to no row.
    """

    target: str
    origin: str
    lookup: bool
    written: bool
    column: Column | None
    beside: str | None = None


@dataclass(frozen=True)
class KeyColumn:
    """A column of the key that capture notes. `origin`, `target`: its names on the captured and on the maintained side. `type`: as the
    queue has it.

    `exchanged`: it is a reference, so the two sides have its row's two keys: the integer and the uuid. The queue holds either, as
    text. `origin_type`: of the captured column. `beside`: a column of the maintained side with the captured side's key: the shadow
    has the integer beside the uuid.
    """

    origin: str
    target: str
    type: str
    exchanged: bool = False
    origin_type: str = ""
    beside: str | None = None


@dataclass(frozen=True)
class TableMapping:
    """One swapped table in one direction: `origin` is captured, `target` is maintained, `key` identifies their rows.

    `origin_uuid`, `target_uuid`: the uuid of the row on either side; None where that side has none: in a table with references,
    and in a source whose uuids are derived. `lookups_in`: how the value of a reference is found. `key_lookups`:
    what more a table needs that has one in its key. `partitioned`: both tables are.
    """

    direction: Direction
    number: int
    origin: TableName
    target: TableName
    key: tuple[KeyColumn, ...]
    origin_uuid: str | None
    target_uuid: str | None
    columns: tuple[ColumnMapping, ...]
    lookups_in: Lookups
    key_lookups: KeyLookups
    partitioned: bool = False

    @property
    def origin_rows(self) -> sql.Composed:
        """The captured table in FROM: without tables that inherit from it, or with its partitions."""
        return rows_of(self.origin, whole=self.partitioned)

    @property
    def target_rows(self) -> sql.Composed:
        """The maintained table in FROM, DELETE FROM and UPDATE."""
        return rows_of(self.target, whole=self.partitioned)

    @property
    def is_source(self) -> bool:
        return self.number == 0

    @property
    def origin_key(self) -> str:
        """The captured side's key, where it is a single column."""
        (column,) = self.key
        return column.origin

    @property
    def target_key(self) -> str:
        """The maintained side's key, where it is a single column."""
        (column,) = self.key
        return column.target

    @property
    def integer_key(self) -> bool:
        """Whether the key is a single integer."""
        return len(self.key) == 1 and self.key[0].type in INTEGERS

    @property
    def exchanged_key(self) -> bool:
        """Whether a reference is in the key: then the two sides' keys are not equal, and one is looked up."""
        return any(k.exchanged for k in self.key)

    def in_key(self, mapped: ColumnMapping) -> bool:
        """Whether the column's value is a part of the maintained side's key, and is looked up."""
        return any(k.exchanged and k.target == mapped.target for k in self.key)

    def value(self, mapped: ColumnMapping, alias: str = "s") -> sql.Composable:
        """The SQL expression over the captured row `alias` that gives the maintained column's value."""
        column = sql.Identifier(alias, mapped.origin)
        if not mapped.lookup:
            return sql.Composed([column])
        if self.in_key(mapped):
            return self.key_value(column, mapped.column)
        found = self.lookups_in.value(column, mapped.column)
        if mapped.beside is None:
            return found
        return sql.SQL("coalesce({}, CASE WHEN {} IS NULL THEN {} END)").format(
            found, column, sql.Identifier(alias, mapped.beside)
        )

    def key_value(self, given: sql.Composable, column: Column | None) -> sql.Composable:
        """The maintained side's part of a key, for a reference in the captured side's. Integers name one uuid each, whatever happened;
        several uuids may have named one integer."""
        if self.direction is Direction.FORWARD:
            return self.lookups_in.value(given, column)
        return self.lookups_in.one_to_one(given, column, self.key_lookups.back_now)

    @property
    def lookups(self) -> tuple[ColumnMapping, ...]:
        """The columns whose value belongs to another row, of the source."""
        return tuple(m for m in self.columns if m.lookup and not (self.is_source and m.target == self.target_uuid))


def forward(plan: Plan, table: SwappedTable | None = None) -> TableMapping:
    """Swapped table → its shadow: the same column names. The uuid of each reference is looked up. Without `table`: the source."""
    t = table or plan.swapped[0]
    catalog = plan.table_of(t)
    looked_up = {r.uuid_column: r for r in t.references}
    looked_up_by = {r.column: r for r in t.references}
    identity = plan.identity if t.is_source else None
    columns = [
        ColumnMapping(c.name, c.name, False, not c.generated, c)
        for c in catalog.columns
        if c.name not in looked_up and c.name != identity
    ]
    if t.is_source:
        column = catalog.column(plan.identity)
        columns.append(ColumnMapping(plan.identity, plan.key if plan.derived else plan.identity, plan.derived, True, column))
    columns += [ColumnMapping(r.uuid_column, r.column, True, True, None) for r in looked_up.values()]
    if t.is_source and plan.compat_column:
        columns.append(ColumnMapping(plan.compat_column, plan.identity, False, True, catalog.column(plan.identity)))
    columns += [ColumnMapping(r.compat_column, r.column, True, True, None) for r in looked_up.values() if r.compat_column]
    return TableMapping(
        direction=Direction.FORWARD, number=t.number, origin=t.name, target=t.shadow,
        key=tuple(
            _exchanged(k, looked_up_by[k].uuid_column, _type(catalog, k), beside=k)
            if k in looked_up_by
            else KeyColumn(k, k, _type(catalog, k))
            for k in t.key
        ),
        origin_uuid=None if plan.derived else identity, target_uuid=identity,
        columns=tuple(columns), lookups_in=lookups(plan, forward=True, to_uuid=True), key_lookups=key_lookups(plan, forward=True),
        partitioned=t.partitioned,
    )  # fmt: skip


def reverse(plan: Plan, table: SwappedTable | None = None) -> TableMapping:
    """New table → retired: the captured table has the column names of after the cutover, the retired one those of before.

    The integer of a reference is looked up by its uuid: the integer beside it is only what a trigger filled. Without `table`:
    the source.
    """
    t = table or plan.swapped[0]
    catalog = plan.table_of(t)
    after = {r.before: r.after for r in plan.renames_of(t)}
    legacy = {r.column: r.legacy_column for r in t.references}
    columns = [
        ColumnMapping(
            c.name,
            c.name if c.name in legacy else after.get(c.name, c.name),
            c.name in legacy,
            not c.generated,
            c,
            legacy.get(c.name),
        )
        for c in catalog.columns
        if not (t.is_source and c.name == plan.identity)
    ]
    uuid = None if plan.derived or not t.is_source else plan.identity
    if uuid:
        columns.append(ColumnMapping(uuid, plan.key, False, True, catalog.column(uuid)))
    return TableMapping(
        direction=Direction.REVERSE, number=t.number, origin=t.name, target=t.retired,
        key=tuple(
            _exchanged(k, k, UUID) if k in legacy else KeyColumn(after.get(k, k), k, _type(catalog, k)) for k in t.key
        ),
        origin_uuid=plan.key if t.is_source else None, target_uuid=uuid,
        columns=tuple(columns), lookups_in=lookups(plan, forward=False, to_uuid=False), key_lookups=key_lookups(plan, forward=False),
        partitioned=t.partitioned,
    )  # fmt: skip


def _exchanged(origin: str, target: str, origin_type: str, beside: str | None = None) -> KeyColumn:
    """A reference in a key. Its column has the same name before and after the cutover, and another type."""
    return KeyColumn(origin, target, "text", exchanged=True, origin_type=origin_type, beside=beside)


def _type(table: Table, column: str) -> str:
    found = table.column(column)
    return found.type if found else "bigint"


def table_mapping(plan: Plan, name: str) -> TableMapping:
    """The mapping of the source in a direction."""
    return table_mappings(plan, name)[0]


def table_mappings(plan: Plan, name: str) -> tuple[TableMapping, ...]:
    """The mappings of all swapped tables in a direction, the source first."""
    way = forward if name is Direction.FORWARD else reverse
    return tuple(way(plan, t) for t in plan.swapped)
