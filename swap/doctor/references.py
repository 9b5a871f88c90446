"""References: foreign keys to the source, and columns that the configuration declares. Pure, but for `printed_conditions`."""

from __future__ import annotations

from collections.abc import Mapping

from swap.catalog.model import Catalog, ForeignKey
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import UsageError
from swap.core.names import TableName, parse_table, quote
from swap.ddl.defaults import carried
from swap.doctor.finding import Finding, Subject, blocker, ok, qualified
from swap.doctor.tables import check_columns
from swap.plan.conditions import (
    OwnConditionError,
    UnnamedOperatorError,
    UnstableConditionError,
    condition_path,
    with_condition,
)
from swap.plan.key_columns import unvouched
from swap.plan.model import TABLE, RefColumns

Definitions = Mapping[tuple[TableName, str], str]


def check_references(subject: Subject, definitions: Definitions) -> list[Finding]:
    """A finding for each reference, and for each thing that makes one impossible. `definitions`: the index definitions that can be
    built over uuids."""
    out = []
    given = {(parse_table(d.table), d.column) for d in subject.config.default}
    for ref in subject.references:
        found = [
            *check_columns(ref, subject.catalog.table(ref.table), given=(ref.table, ref.column) in given),
            *_nullability(ref, subject),
            *_two_targets(ref, subject),
        ]
        where = qualified(ref.table, ref.column)
        if not found:
            how = "declared in the configuration" if ref.declared else "a foreign key"
            made = f"its uuid column {quote(ref.uuid_column)} is {'adopted' if ref.adopted else 'added'}"
            made += ", and its integer stays as it is" if ref.companion else ""
            made = "its table is rebuilt beside" if ref.strategy == TABLE and not ref.own else made
            if subject.plan and any(r == ref for r, _ in carried(subject.plan)):
                made += "; after the cutover its default is looked up, each time"
            found = [ok("reference", where, f"{how}; {made}")]
        out += found
    for fk in subject.catalog.foreign_keys:
        out += _foreign_key(fk, subject, definitions)
    return out or [ok("reference", subject.source.name, "nothing refers to this table")]


def _nullability(ref: RefColumns, subject: Subject) -> list[Finding]:
    """A NOT NULL reference becomes a NOT NULL uuid, so each row has to name somebody when the exchange makes it one."""
    where = qualified(ref.table, ref.column)
    drop = f"ALTER TABLE {ref.table} ALTER COLUMN {quote(ref.column)} DROP NOT NULL;"
    primary = subject.catalog.table(ref.table).primary_key
    found = []
    if ref.not_null and ref.declared and not ref.text:
        bare = [t.name for t in unvouched(subject.catalog, subject.catalog.table(ref.table), ref.column)]
        which = "" if bare == [ref.table] else f" of {', '.join(map(str, bare))}"
        detail = (
            f"is NOT NULL without a foreign key that is checked for every row{which}: a row that refers to nobody has no uuid, "
            "and could not be written"
        )
        add = f"ADD FOREIGN KEY ({quote(ref.column)}) REFERENCES {subject.source.name} NOT VALID"
        hint = " ".join(f"ALTER TABLE {t} {add};" for t in bare)
        if not (primary and ref.column in primary.columns):  # the server keeps a key's column NOT NULL
            hint = f"{drop} or {hint}"
        found.append(blocker("not-null-reference", where, detail, hint))
    if ref.where is not None and not (ref.companion or ref.text) and primary and ref.column in primary.columns:
        detail = "is part of the primary key, but only some rows (`where`) refer to the source: the others would have no uuid"
        found.append(blocker("not-null-reference", where, detail, "Only whole columns can be part of a primary key."))
    return found


def _two_targets(ref: RefColumns, subject: Subject) -> list[Finding]:
    """A column that refers to two tables. A chain, which is a foreign key to another reference, is allowed."""
    keys = {(r.table, r.column) for r in subject.references} | {(subject.source.name, subject.config.source.key)}
    found = []
    for fk in subject.catalog.foreign_keys:
        for column, target in zip(fk.columns, fk.target_columns, strict=True):
            if (fk.holder, column) == (ref.table, ref.column) and (fk.target, target) not in keys:
                at = qualified(fk.target, target)
                detail = f"{quote(column)} also refers to {at}, which is no reference: one column cannot follow two keys"
                hint = f"{_drop(fk)} Or, where {at} holds the same keys: declare it as a [[reference]]."
                found.append(blocker("reference-chain", qualified(fk.table, fk.name), detail, hint))
    return found


def _drop(fk: ForeignKey) -> str:
    return f"ALTER TABLE {fk.table} DROP CONSTRAINT {quote(fk.name)};"


def _to_itself(fk: ForeignKey, subject: Subject) -> bool:
    """Whether the key refers to a reference to itself: `users (id, org_id)` to `memberships (user_id, org_id)`."""
    target = fk.target_columns[fk.columns.index(subject.config.source.key)]
    return (fk.target, target) in {(r.table, r.column) for r in subject.references}


def _foreign_key(fk: ForeignKey, subject: Subject, definitions: Definitions) -> list[Finding]:
    key, source = subject.config.source.key, subject.source
    at = qualified(fk.table, fk.name)
    found = []
    if source.name in (fk.table, fk.target) and fk.inherited:
        detail = "belongs to a partitioned table or is inherited: not supported in this version"
        found.append(blocker("foreign-key", at, detail, _drop(fk)))
    if fk.table == source.name and key in fk.columns and not _to_itself(fk, subject):
        detail = "the key itself refers to another table: it cannot become a uuid of its own"
        found.append(blocker("foreign-key", at, detail, _drop(fk)))
    refs = {r.column for r in subject.references if r.table == fk.target} | ({key} if fk.target == source.name else set())
    if refs.intersection(fk.target_columns) and (fk.target, fk.target_columns) != (source.name, (key,)):
        unique = (
            i
            for i in subject.catalog.table(fk.target).indexes
            if i.unique
            and not i.exclusion
            and not i.partial
            and not i.expressions
            and set(i.key_columns) == set(fk.target_columns)
        )
        if not any((fk.target, i.name) in definitions for i in unique):
            columns = ", ".join(quote(c) for c in fk.target_columns)
            detail = f"the unique constraint of {fk.target} over ({columns}) cannot be rebuilt with a uuid"
            found.append(blocker("foreign-key", at, detail, _drop(fk)))
    return found


def printed_conditions(
    conn: Connection, catalog: Catalog, config: Config, references: tuple[RefColumns, ...]
) -> tuple[tuple[RefColumns, ...], list[Finding]]:
    """The references with each `where` as the server prints it, and a blocker for one that its text does not say.

    One that is no condition stays as it is: the check of the rows runs it, and says so. One that cannot be is left out.
    """
    path = condition_path(conn, catalog, config) if any(r.where is not None for r in references) else ()
    out, found = [], []
    for ref in references:
        try:
            out.append(with_condition(conn, catalog.table(ref.table), ref, path))
        except OwnConditionError as e:
            found.append(blocker("reference-where", qualified(ref.table, ref.column), e.message, e.hint))
        except (UnnamedOperatorError, UnstableConditionError) as e:
            found.append(blocker("reference-where", qualified(ref.table, ref.column), e.message, e.hint))
            out.append(ref)
        except UsageError:
            out.append(ref)
    return tuple(out), found
