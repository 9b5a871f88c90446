"""Partitions that come and go while a run exists: the plan follows them (H38).

A maintenance job makes tomorrow's partition, or takes last year's away. The server gives a new one the columns, the guards, the
indexes and the keys of its table. What it does not give is made here: the unique indexes that a primary key is made of, and the part
of a foreign key between an exchange and its follow-up. Rows that came with a table that was attached were not guarded: those whose
pair is not right are noted, and made right like any incomplete pair (swap.ddl.pairs).

The plan, the recorded structure of these tables and the notes change in one transaction; nothing else of the structure is recorded.
An exchange asks for a new verification then. A partition with something that is not carried over is refused by its name, and so is a
table that is no partition any more and refers to the source by a foreign key of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from swap.catalog.load import find_tables, load_foreign_keys, load_tables
from swap.catalog.load import with_partitions as with_partitions_now
from swap.core.errors import RefusedError
from swap.core.lock_retries import with_locks
from swap.core.names import TableName, quote
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.ddl.foreign_keys import add_foreign_key, foreign_keys_after, moved_foreign_keys
from swap.ddl.pairs import note_unguarded, settled_references
from swap.doctor.partitions import of_their_own
from swap.plan.direction import Direction
from swap.plan.key_columns import unvouched
from swap.plan.model import IndexPlan, Plan, RefColumns
from swap.plan.partitions import NewPartition, with_partitions, without_partitions
from swap.prepare.drift import structure_now
from swap.state.journal import Phase
from swap.state.migration import Migration
from swap.sync.indexes import ensure_index
from swap.sync.required_columns import constraint_state

UNDO = "Take that away, or DETACH the partition, or `swap abort` and prepare again."


class _Found(NamedTuple):
    """A partition as it is now. `label`: what the recorded structure calls it. `attached`: the oids of its parts of the triggers."""

    root_schema: str
    root_name: str
    schema: str
    name: str
    oid: int
    label: str
    attached: tuple[int, ...]

    @property
    def root(self) -> TableName:
        return TableName(self.root_schema, self.root_name)

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)


class _Left(NamedTuple):
    """A table that was a partition. `key`: a foreign key to the source, or to another table of the run, that it has."""

    schema: str
    name: str
    label: str
    key: str | None


@dataclass(frozen=True)
class _Change:
    """What came, upper levels first, and what went. `again`: those that came and had gone before."""

    come: tuple[_Found, ...]
    gone: tuple[TableName, ...]
    again: frozenset[TableName] = frozenset()


def follow_partitions(migration: Migration, *, returned: bool = False) -> bool:
    """Whether the plan is another one now. One query where there is a partitioned reference, else none. `returned`: look also for
    partitions that were taken away and attached again meanwhile; that reads the recorded structure.

    Raises RefusedError; psycopg's errors and LockError where an index has to be built or a key added."""
    run = migration.run
    if run.phase in (Phase.PREPARING, Phase.FINALIZED, Phase.ABORTED):
        return False
    changed = _changed(migration, returned=returned)
    if not changed.come and not changed.gone:
        return False
    left = _left(migration, changed.gone)
    plan = _followed(migration, changed)
    _refuse(migration, plan, changed, left)
    _complete(migration, plan, changed)
    _record(migration, plan, changed, left)
    return True


def _roots(plan: Plan) -> list[TableName]:
    names = dict.fromkeys(r.table for r in plan.references)
    return [n for n in names if plan.catalog.table(n).kind == "p"]


def _changed(migration: Migration, *, returned: bool) -> _Change:
    plan = migration.plan
    roots = _roots(plan)
    if not roots:
        return _Change((), ())
    wanted = {"schemas": [n.schema for n in roots], "names": [n.name for n in roots]}
    found = fetch(migration.conn, _Found, load_sql("swap.sync", "partition_trees.sql"), wanted)
    known = {p.name for n in roots for p in plan.catalog.table(n).partitions}
    there = {f.table for f in found}
    again = _returned(migration, [f for f in found if f.table in known]) if returned else set()
    come = tuple(f for f in found if f.table not in known or f.table in again)
    return _Change(come, tuple(sorted(known - there)), frozenset(again))


ATTACHED = re.compile(r" attached=(\d+)$")


def _returned(migration: Migration, found: list[_Found]) -> set[TableName]:
    """Those whose triggers are other ones than were recorded: the server drops and makes them with DETACH and ATTACH, and no guard
    watched their rows in between."""
    recorded: dict[str, set[int]] = defaultdict(set)
    for table, line in migration.journal.baseline(migration.run.id) or ():
        if line.startswith("trigger ") and (part := ATTACHED.search(line)):
            recorded[table].add(int(part[1]))
    return {f.table for f in found if recorded[f.label] and recorded[f.label].isdisjoint(f.attached)}


def _left(migration: Migration, gone: Iterable[TableName]) -> list[_Left]:
    names, targets = list(gone), _watched_names(migration.plan)
    given = {
        "schemas": [n.schema for n in names], "names": [n.name for n in names],
        "target_schemas": [t.schema for t in targets], "targets": [t.name for t in targets],
    }  # fmt: skip
    return fetch(migration.conn, _Left, load_sql("swap.sync", "left_partitions.sql"), given) if names else []


def _followed(migration: Migration, changed: _Change) -> Plan:
    plan = without_partitions(migration.plan, set(changed.again))
    for root in dict.fromkeys(f.root for f in changed.come):
        if not plan.catalog.table(root).heaps:
            raise RefusedError(
                f"{root} has none of the partitions any more that it had: there is nothing to make the indexes of a new one like.",
                state="Nothing was changed; capture goes on.",
                hint="`swap abort` and prepare again.",
            )
        come = [f for f in changed.come if f.root == root]
        plan = with_partitions(plan, root, _read(migration, come), migration.direction)
    return without_partitions(plan, set(changed.gone))


def _read(migration: Migration, come: list[_Found]) -> list[NewPartition]:
    """The partitions as they are now, with the keys of the run that they have of their own, and their parts of those above them."""
    conn = migration.conn
    by_name = {t.name: t for t in load_tables(conn, [f.oid for f in come])}
    tables = [by_name[f.table] for f in come if f.table in by_name]  # one may have gone meanwhile
    keys = load_foreign_keys(conn, with_partitions_now(conn, tuple(find_tables(conn, _watched_names(migration.plan)).values())))
    return [
        NewPartition(
            table=t,
            own=tuple(fk for fk in keys if fk.table == t.name and fk.root),
            parts={(fk.table, fk.name): name for fk in keys if fk.table != t.name for at, name in fk.parts if at == t.name},
        )
        for t in tables
    ]


def _watched_names(plan: Plan) -> list[TableName]:
    return sorted({*(t.name for t in plan.swapped), *(r.table for r in plan.references)})


def _refuse(migration: Migration, plan: Plan, changed: _Change, left: list[_Left]) -> None:
    """Raises RefusedError for what is not carried over."""
    for gone in (x for x in left if x.key):
        name = TableName(gone.schema, gone.name)
        raise _refused(
            f"{name} is no partition any more, and refers to a table of the run by a foreign key of its own, {gone.key}: the exchange"
            " would not move it.",
            f"ALTER TABLE {name} DROP CONSTRAINT {quote(str(gone.key))};",
        )
    new = {f.table for f in changed.come}
    roots = {f.root for f in changed.come}
    refs = [r.columns for r in plan.references if r.table in roots]
    watched = find_tables(migration.conn, _watched_names(plan))
    columns = [(watched[r.table].oid, c) for r in refs if not r.companion for c in _columns_now(migration, r)]
    for own in of_their_own(migration.conn, columns, [t.oid for t in watched.values()]):
        if (name := TableName(own.schema, own.relation)) in new:
            raise _refused(f"The partition {name} came since `prepare`, and {own.detail}.", UNDO)
    for ref in refs:
        for heap in unvouched(plan.catalog, plan.catalog.table(ref.table), ref.column):
            if heap.name in new and ref.not_null and not ref.declared:
                raise _refused(
                    f"The partition {heap.name} came since `prepare` without a foreign key, and {ref.column} is NOT NULL: a row that"
                    " refers to nobody could not be written.",
                    f"ALTER TABLE {heap.name} ADD FOREIGN KEY ({quote(ref.column)}) REFERENCES {plan.source} NOT VALID;",
                )
    for table in (t for t in find_tables(migration.conn, new).values()):
        held = {c for r in refs if not r.companion for c in _columns_now(migration, r)}
        for index in (i for i in table.indexes if not i.parent and held.intersection(i.columns)):
            raise _refused(
                f"The partition {table.name} came since `prepare`, and has an index of its own over a reference, {index.name}.",
                f"DROP INDEX {table.name.renamed(index.name)}; and create it again after `finalize` or `abort`.",
            )


def _refused(message: str, hint: str) -> RefusedError:
    return RefusedError(message, state="Nothing was changed; capture goes on.", hint=hint)


def _columns_now(migration: Migration, ref: RefColumns) -> tuple[str, str]:
    ahead = migration.direction is Direction.FORWARD
    return (ref.column, ref.uuid_column) if ahead else (ref.legacy_column, ref.uuid_after)


def _complete(migration: Migration, plan: Plan, changed: _Change) -> None:
    """Make what the server has not made. While the shadows are built, the builder does it."""
    run, new = migration.run, {f.table for f in changed.come}
    if run.phase is Phase.BACKFILLING:
        return
    for index in _missing_indexes(migration, plan, new):
        ensure_index(migration.conn, index, plan.settings, concurrently=True)
    keys = foreign_keys_after(plan) if migration.direction is Direction.REVERSE else moved_foreign_keys(plan)
    for fk in keys:
        parts = tuple(p for p in fk.parts if p[0] in new and not _has_key(migration, *p))
        if parts:
            # Between an exchange and its follow-up the table has no key, and each partition has its part of it.
            tables = [*(table for table, _ in parts), fk.target]
            add = add_foreign_key(replace(fk, parts=parts)).sql
            with_locks(migration.conn, tables, "SHARE ROW EXCLUSIVE", migration.budget, partial(migration.conn.execute, add))


def _has_key(migration: Migration, table: TableName, name: str) -> bool:
    return constraint_state(migration.conn, table, name) is not None


def _missing_indexes(migration: Migration, plan: Plan, new: set[TableName]) -> list[IndexPlan]:
    """Before a cutover the unique indexes over the uuids that the primary key will be made of; in both directions the spare ones over
    the integers, which a revert makes the old key of. After a cutover these have other columns than in the plan: those of a sibling."""
    ahead, out = migration.direction is Direction.FORWARD, []
    for ref in plan.references:
        if ahead:
            out += [i for i in ref.parts if i.table in new and i.is_primary and not i.on_only]
        spares = [i for i in ref.spare_parts if i.table in new and not i.on_only]
        model = next((i for i in ref.spare_parts if i.table not in new and not i.on_only), None)
        if spares and not ahead and model is not None:
            there = find_tables(migration.conn, [model.table])[model.table]
            now = next(i for i in there.indexes if i.name == model.build_name)
            spares = [replace(i, definition=now.definition) for i in spares]
        out += spares
    return out


def _record(migration: Migration, plan: Plan, changed: _Change, left: list[_Left]) -> None:
    """The plan, the notes, and the structure of what came and went; nothing else of the structure."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    labels = [*(f.label for f in changed.come), *(x.label for x in left)]
    new = [f.table for f in changed.come]
    with conn.transaction():
        now = [x for x in conn.execute(structure_now(plan)).fetchall() if about(x, labels)]
        kept = [x for x in journal.baseline(run.id) or [] if not about(x, labels)]
        journal.record_plan(run.id, plan)
        journal.update_run(run.id, baseline=[list(x) for x in sorted({*((t, line) for t, line in now), *kept})])
        for ref in (r for r in settled_references(plan, migration.direction) if plan.swapped_table(r.table) is None):
            for heap in (t for t in plan.catalog.table(ref.table).heaps if t.name in new):
                conn.execute(note_unguarded(plan, ref, heap.name, migration.direction))
        said = [*(f"{f.table} is a new partition of {f.root}" for f in changed.come), *(_gone(x) for x in left)]
        journal.event(run.id, "partitions", "; ".join(said))
        if run.verified is not None:
            journal.forget_verified(run.id, "partitions came or went")
    for line in said:
        migration.report.note(line)
    migration.reload()


def _gone(table: _Left) -> str:
    return f"{TableName(table.schema, table.name)} is no partition any more"


def about(line: Sequence[str], labels: Iterable[str]) -> bool:
    """Whether a line of the structure is about one of these tables: its own, or of a foreign key from it or to it."""
    table, text = line
    return any(
        table == at
        or text.startswith(f"referenced by {at} ")
        or (text.startswith("constraint ") and f" REFERENCES {at}(" in text)
        for at in labels
    )
