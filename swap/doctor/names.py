"""Names that a run gives to tables, indexes and columns: each must be free, and no two may be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import MAX_BYTES, TableName, derive, quote
from swap.doctor.finding import Finding, Subject, blocker, or_ok, qualified, read
from swap.plan.model import Plan
from swap.plan.table_names import retired_name, shadow_name

RENAME = "[names] in the configuration: choose another name, or rename what has it."


class Taken(NamedTuple):
    """A name that a relation or a type (`kind`) has."""

    schema: str
    name: str
    kind: str


def new_tables(subject: Subject) -> dict[str, TableName]:
    """The shadow and the retired table of the source, by these words; those of other tables by these words and the table."""
    config, out = subject.config, {}
    for t in subject.rebuilt:
        of = "" if t is subject.source else f" of {t.name}"
        out[f"shadow{of}"] = shadow_name(config, t.name)
        out[f"retired{of}"] = retired_name(config, t.name)
    return out


def new_indexes(plan: Plan) -> Iterator[TableName]:
    """Every name that an index gets in the run, for a while or for good."""
    if plan.identity_index:
        yield plan.source.renamed(plan.identity_index.build_name)
    for t in plan.swapped:
        for build_name in dict.fromkeys(i.build_name for i in (*t.indexes, t.key_index, t.pair_index) if i):
            yield t.name.renamed(build_name)
        for rename in t.retired_indexes:
            yield t.name.renamed(rename.after)
    for ref in plan.references:
        built = [*(i for i in ref.indexes if not i.adopted), *ref.compat_indexes]
        names = {i.table.renamed(n) for i in (*built, *ref.parts, *ref.spares) for n in (i.build_name, i.retired_name) if n}
        names |= {i.table.renamed(i.retired_name) for i in ref.indexes if i.adopted and i.retired_name}
        yield from sorted(names)


def check_names(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    tables = new_tables(subject)
    indexes = list(new_indexes(subject.plan)) if subject.plan else []
    wanted = sorted({*tables.values(), *indexes})
    taken = read(conn, Taken, "taken.sql", schemas=[n.schema for n in wanted], names=[n.name for n in wanted])
    found = [*_tables(tables, subject), *_taken(taken, tables), *_same(indexes), *_columns(subject)]
    detail = f"{len(wanted)} new names are free, the shadow's {tables['shadow']} among them"
    return or_ok(found, "names", subject.source.name, detail)


def _tables(tables: dict[str, TableName], subject: Subject) -> Iterator[Finding]:
    for role, name in tables.items():
        if len(name.name.encode()) > MAX_BYTES:
            yield blocker("names", name, f"the {role} table's name is longer than {MAX_BYTES} bytes", RENAME)
    for name, count in Counter(tables.values()).items():
        if count > 1:
            yield blocker("names", name, "shadow and retired table would have the same name", RENAME)
    if subject.source.name in tables.values():
        yield blocker("names", subject.source.name, "shadow or retired table would have the source's own name", RENAME)


def _taken(taken: list[Taken], tables: dict[str, TableName]) -> Iterator[Finding]:
    roles = {name: role for role, name in tables.items()}
    for t in taken:
        at = TableName(t.schema, t.name)
        what = f"the {roles[at]} table" if at in roles else "an index that has to be built"
        hint = RENAME if at in roles else f"Rename or drop {at}."
        yield blocker("names", at, f"a {t.kind} has this name, which {what} needs", hint)


def _same(indexes: list[TableName]) -> Iterator[Finding]:
    for name, count in Counter(indexes).items():
        if count > 1:
            yield blocker("names", name, f"{count} new indexes would have this name", "Rename one of the indexes it comes from.")


def _columns(subject: Subject) -> Iterator[Finding]:
    """Each new column name must be free, and no two columns may get the same."""
    source, config = subject.source, subject.config
    wanted = {source.name: [config.names.legacy_key]}
    if config.names.compat:
        wanted[source.name].append(derive(config.identity.column, "_compat"))
    for r in subject.references:
        wanted.setdefault(r.table, []).extend([] if r.companion else [r.legacy_column])
        if r.compat_column:
            wanted[r.table].append(r.compat_column)
        if r.uuid_column == config.identity.column and r.own:
            at = qualified(r.table, r.uuid_column)
            yield blocker("names", at, "is the identity column already", "[[reference]] uuid_column.")
    for table, names in wanted.items():
        info = subject.catalog.table(table)
        uuids = [r.uuid_column for r in subject.references if r.table == table]
        added = [u for u in uuids if info.column(u) is None]
        if table == source.name and source.column(config.identity.column) is None:
            added.append(config.identity.column)
        for name, count in Counter([*names, *added]).items():
            if info.column(name) is not None:
                hint = f"[names] legacy_key or [[reference]] legacy_column: choose another name than {quote(name)}."
                yield blocker("names", qualified(table, name), "the table has a column of this name already", hint)
            elif count > 1:
                hint = "[[reference]] legacy_column, uuid_column."
                yield blocker("names", qualified(table, name), "two columns would get this name", hint)
        for name, count in Counter(uuids).items():
            if count > 1 and info.column(name) is not None:
                hint = "[[reference]] uuid_column: name one for each."
                yield blocker("names", qualified(table, name), f"{count} references share this uuid column", hint)
