"""The plan: everything decided from the catalog and the configuration, as immutable data that is journalled.

Columns are never moved between tables: the shadow is built with the source's *old* column names and renamed
inside the cutover, because an expression (policy, check, generated column, index predicate) binds columns by
number and so keeps comparing the integers it always compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from swap.core.catalog.model import Catalog, ForeignKey, Index, Table
from swap.core.chains import key_columns, vouches
from swap.core.config import Config
from swap.core.errors import RefusedError
from swap.core.names import TableName, derive, expand, parse_table, with_part
from swap.core.policies import NewPolicy, new_policies

LEFT = re.compile(r"^~swap_guard_(\d+)_")
INTEGERS = ("smallint", "integer", "bigint")


@dataclass(frozen=True)
class Rename:
    """A column's name before the cutover and after it."""

    before: str
    after: str


@dataclass(frozen=True)
class RefColumns:
    """One reference: which columns of which table, under their names before the cutover.

    `own`: it is in the source itself, so its uuid lives in the shadow only and is looked up when a row is copied.
    `adopted`: the uuid column was there before; `declared`: no foreign key vouches for every row, so a row may refer
    to nobody. `not_null`: each row has a key; not so where only some rows (`where`) are references at all.
    """

    number: int
    table: TableName
    oid: int
    column: str
    uuid_column: str
    legacy_column: str
    adopted: bool
    declared: bool
    own: bool
    not_null: bool
    deferrable: bool
    where: str | None
    compat_column: str | None = None  # what takes `uuid_column`'s name in the cutover, with `[names] compat`

    @property
    def renames(self) -> tuple[Rename, Rename]:
        """In the order in which they can be run: the name that is reused becomes free first."""
        return Rename(self.column, self.legacy_column), Rename(self.uuid_column, self.column)


@dataclass(frozen=True)
class IndexPlan:
    """An index to build. `app_name` is the application's name for it, taken over at the cutover;
    `build_name` is what it is called until then; `aside_name` is where the index it replaces goes meanwhile.
    `app_name` None: an index that only swap needs (spare of a primary key, legacy key)."""

    table: TableName
    build_name: str
    unique: bool
    tail: str
    app_name: str | None = None
    aside_name: str | None = None
    constraint: str | None = None  # p | u | x, of the index it replaces
    exclusion: bool = False  # `tail` is the constraint's definition: it is built as one
    tablespace: str = ""
    statistics: tuple[tuple[int, int], ...] = ()
    deferrable: bool = False
    deferred: bool = False
    comment: str = ""
    constraint_comment: str = ""
    adopted: bool = False
    clustered: bool = False
    replident: bool = False


@dataclass(frozen=True)
class ReferencePlan:
    columns: RefColumns
    indexes: tuple[IndexPlan, ...] = ()
    spare_primary: IndexPlan | None = None
    not_null_name: str | None = None
    compat_indexes: tuple[IndexPlan, ...] = ()

    @property
    def table(self) -> TableName:
        return self.columns.table

    @property
    def check_name(self) -> str:
        return derive(f"swap_{self.columns.number}_{self.columns.uuid_column}", "_present")


@dataclass(frozen=True)
class Plan:
    """The whole migration of one source. Serialised into the run's row; `catalog` is as it was at `prepare`."""

    catalog: Catalog
    state_schema: str
    source: TableName
    shadow: TableName
    retired: TableName
    key: str
    legacy_key: str
    identity: str
    identity_added: bool
    generate: str
    references: tuple[ReferencePlan, ...]
    own_references: tuple[RefColumns, ...]
    key_index: IndexPlan
    identity_index: IndexPlan | None
    indexes: tuple[IndexPlan, ...]
    retired_indexes: tuple[Rename, ...]
    new_policies: tuple[NewPolicy, ...] = ()
    compat_column: str | None = None  # the shadow's column that takes the identity's name in the cutover
    mode: str = "trigger"

    def state(self, suffix: str) -> TableName:
        """A name in the state schema that belongs to this source alone: several sources share the schema."""
        return TableName(self.state_schema, derive(f"{self.source.name}_{self.tag}", f"_{suffix}"))

    @property
    def tag(self) -> int:
        """The source's oid at `prepare`: what this run's objects and its fence row are known by."""
        return self.catalog.source.oid

    @property
    def renames(self) -> tuple[Rename, ...]:
        """The shadow's column renames at the cutover, in a runnable order."""
        own = tuple(r for ref in self.own_references for r in ref.renames)
        return (Rename(self.key, self.legacy_key), Rename(self.identity, self.key), *own, *self._compat_renames)

    @property
    def _compat_renames(self) -> tuple[Rename, ...]:
        """Last, when the names of before the cutover are free."""
        pairs = [(self.compat_column, self.identity), *((r.compat_column, r.uuid_column) for r in self.own_references)]
        return tuple(Rename(compat, name) for compat, name in pairs if compat)

    @property
    def locked_tables(self) -> tuple[TableName, ...]:
        """Every table the cutover takes ACCESS EXCLUSIVE on, before the cutover's renames."""
        fks = {t for f in self.catalog.foreign_keys if self.touches(f) for t in (f.table, f.target)}
        refs = {r.table for r in self.references}
        policies = {p.table for p in self.catalog.policies if p.reads_source} | {p.table for p in self.new_policies}
        return tuple(sorted({self.source, *fks, *refs, *policies}))

    @property
    def fingerprint(self) -> str:
        """A digest of the plan: two plans with the same one do the same."""
        return hashlib.sha256(PLAN.dump_json(self)).hexdigest()[:16]

    def touches(self, fk: ForeignKey) -> bool:
        """Whether the foreign key goes into or out of the source, or to a reference (a chain): it is made anew then."""
        if self.source in (fk.table, fk.target):
            return True
        refs = {r.columns.column for r in self.references if r.table == fk.target}
        return not refs.isdisjoint(fk.target_columns)

    @property
    def source_table(self) -> Table:
        return self.catalog.source


PLAN = TypeAdapter(Plan)


def reference_columns(catalog: Catalog, config: Config) -> tuple[RefColumns, ...]:
    """Every reference: from the catalog's foreign keys, overridden and completed by the configuration."""
    source = catalog.source
    key, identity = config.source.key, config.identity.column
    declared = {(str(r.table), r.column): r for r in config.reference}
    found = key_columns(catalog, key, [(parse_table(r.table), r.column) for r in config.reference])
    by_name = {(parse_table(t), c): r for (t, c), r in declared.items()}
    adopted_by_fk = {
        fk.table: fk.columns[0]
        for fk in catalog.incoming
        if fk.target_columns == (identity,) and _only_reference(found, fk.table)
    }
    out = []
    for number, ((table, column), fks) in enumerate(sorted(found.items(), key=lambda kv: kv[0]), _first_number(catalog)):
        override = by_name.get((table, column))
        info = catalog.table(table)
        col = info.column(column)
        if col is None:
            raise RefusedError(f"The reference {table}.{column} of the configuration has no such column.")
        uuid_column = (override and override.uuid_column) or adopted_by_fk.get(table) or with_part(column, "uuid")
        existing = info.column(uuid_column)
        out.append(
            RefColumns(
                number=number,
                table=table,
                oid=info.oid,
                column=column,
                uuid_column=uuid_column,
                legacy_column=(override and override.legacy_column) or with_part(column, "legacy"),
                adopted=existing is not None,
                declared=not any(vouches(fk, column, catalog) for fk in fks),
                own=table == source.name,
                not_null=col.not_null and not (override and override.where),
                deferrable=bool(fks) and all(fk.deferrable for fk in fks),
                where=override.where if override else None,
                compat_column=derive(uuid_column, "_compat") if config.names.compat else None,
            )
        )
    return tuple(out)


def _first_number(catalog: Catalog) -> int:
    """Beyond the guards that an earlier run left on these tables: `finalize` keeps them as long as the integers, and a
    table's triggers need names of their own."""
    names = (LEFT.match(t.name) for table in catalog.tables for t in table.triggers)
    return 1 + max((int(n[1]) for n in names if n), default=0)


def _only_reference(found: Iterable[tuple[TableName, str]], table: TableName) -> bool:
    return sum(1 for t, _ in found if t == table) == 1


def make_plan(
    catalog: Catalog,
    config: Config,
    references: tuple[RefColumns, ...],
    rewritten: dict[tuple[TableName, str], str],
) -> Plan:
    """`rewritten`: index tails in terms of the uuid columns, made by the server itself (swap.core.rewrite)."""
    source = catalog.source
    table, identity = source.name, config.identity.column
    shadow = table.renamed(expand(config.names.shadow, table.name))
    own = tuple(r for r in references if r.own)
    key_index = IndexPlan(
        shadow,
        derive(f"{table.name}_{config.names.legacy_key}", "_key"),
        True,
        f"USING btree ({_q(config.source.key)})",
    )
    has_identity = source.column(identity) is not None
    unique_identity = any(i.valid and is_identity_index(i, identity) for i in source.indexes)
    identity_index = None
    if not unique_identity:
        name = derive(f"{table.name}_{identity}", "_key")
        identity_index = IndexPlan(table, name, True, f"USING btree ({_q(identity)})")
    return Plan(
        catalog=catalog,
        state_schema=config.names.state_schema,
        source=table,
        shadow=shadow,
        retired=table.renamed(expand(config.names.retired, table.name)),
        key=config.source.key,
        legacy_key=config.names.legacy_key,
        identity=identity,
        identity_added=not has_identity,
        generate=config.identity.generate,
        references=tuple(_reference_plan(catalog, r, references, rewritten) for r in references if not r.own),
        own_references=own,
        key_index=key_index,
        identity_index=identity_index,
        indexes=_shadow_indexes(source, shadow, identity, rewritten),
        retired_indexes=tuple(Rename(i.name, derive(i.name, "_old")) for i in source.indexes),
        new_policies=new_policies(catalog, config)[0],
        compat_column=derive(identity, "_compat") if config.names.compat else None,
        mode=config.sync.mode,
    )


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def is_identity_index(index: Index, identity: str) -> bool:
    """A plain unique index on just the identity column: after the cutover the primary key serves for it."""
    return index.unique and not index.partial and not index.expressions and index.key_columns == (identity,)


def _shadow_indexes(
    source: Table, shadow: TableName, identity: str, rewritten: dict[tuple[TableName, str], str]
) -> tuple[IndexPlan, ...]:
    return tuple(
        IndexPlan(
            table=shadow,
            build_name=derive(i.name, "_new"),
            unique=i.unique,
            tail=rewritten.get((source.name, i.name), i.recipe),
            app_name=i.name,
            aside_name=derive(i.name, "_old"),
            constraint=i.constraint_type,
            deferrable=i.deferrable,
            deferred=i.deferred,
            comment=i.comment,
            constraint_comment=i.constraint_comment,
            clustered=i.clustered,
            replident=i.replident,
            exclusion=i.exclusion,
            tablespace=i.tablespace,
            statistics=i.statistics,
        )
        for i in source.indexes
        if i.valid and not is_identity_index(i, identity)
    )


def _reference_plan(
    catalog: Catalog,
    ref: RefColumns,
    references: tuple[RefColumns, ...],
    rewritten: dict[tuple[TableName, str], str],
) -> ReferencePlan:
    info = catalog.table(ref.table)
    first = min(r.number for r in references if r.table == ref.table) == ref.number
    mine = [
        i
        for i in info.indexes
        if (ref.table, i.name) in rewritten and ref.column in i.columns and (first or not _earlier(i, ref, references))
    ]
    existing = {i.tail: i.name for i in info.indexes if i.constraint is None}
    plans, spare = [], None
    for i in mine:
        tail = rewritten[(ref.table, i.name)]
        adopted = existing.get(tail) if i.constraint is None else None
        plans.append(
            IndexPlan(
                table=ref.table,
                build_name=adopted or derive(i.name, "_new"),
                unique=i.unique,
                tail=tail,
                app_name=i.name,
                aside_name=derive(i.name, "_legacy"),
                constraint=i.constraint_type,
                deferrable=i.deferrable,
                deferred=i.deferred,
                comment=i.comment,
                constraint_comment=i.constraint_comment,
                adopted=adopted is not None,
                clustered=i.clustered,
                replident=i.replident,
                statistics=i.statistics,
            )
        )
        if i.primary:
            spare = IndexPlan(ref.table, derive(i.name, "_legacy"), True, i.tail)
    column = info.column(ref.column)
    return ReferencePlan(ref, tuple(plans), spare, column.not_null_name if column else None)


def _earlier(index: Index, ref: RefColumns, references: tuple[RefColumns, ...]) -> bool:
    return any(r.table == ref.table and r.number < ref.number and r.column in index.columns for r in references)
