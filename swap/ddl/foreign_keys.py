"""Foreign keys into and out of the swapped tables.

The exchange drops each of them and adds it again by its own text, NOT VALID. VALIDATE follows after the commit, beside
running writers.
"""

from __future__ import annotations

import re
from dataclasses import replace

from psycopg import sql

from swap.catalog.model import ForeignKey
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import Plan


def moved_foreign_keys(plan: Plan) -> list[ForeignKey]:
    """Every foreign key into or out of a swapped table: none may be enforced on the side that is only maintained."""
    return [fk for fk in plan.catalog.foreign_keys if plan.touches(fk)]


def foreign_keys_after(plan: Plan) -> list[ForeignKey]:
    """The foreign keys that exist after the exchange.

    The application may have a foreign key over the uuids as well. Where the integers have the same key, the two would be
    equal after the exchange, so the key over the uuids is left out. Where only the uuid has a key, that key follows its
    column.
    """
    moved = moved_foreign_keys(plan)
    made = [_after(plan, fk) for fk in moved]
    kept = {(fk.table, fk.columns, fk.target, fk.target_columns) for fk in moved}
    return [
        new
        for fk, new in zip(moved, made, strict=True)
        if new == fk or (new.table, new.columns, new.target, new.target_columns) not in kept
    ]


# In a definition that pg_get_constraintdef prints, a name is quoted or holds none of `"()`.
COLUMNS = r'\((?:[^"()]|"(?:[^"]|"")*")*\)'
HEAD = re.compile(rf'FOREIGN KEY {COLUMNS} REFERENCES ((?:[^"(]|"(?:[^"]|"")*")+){COLUMNS}')


def _after(plan: Plan, fk: ForeignKey) -> ForeignKey:
    """The foreign key with the names that uuid columns have after the exchange, otherwise with the same text."""
    uuids = {(r.table, r.uuid_column): r.uuid_after for r in plan.all_references} | {(plan.source, plan.identity): plan.key}
    columns = tuple(uuids.get((fk.holder, c), c) for c in fk.columns)
    targets = tuple(uuids.get((fk.target, c), c) for c in fk.target_columns)
    found = HEAD.match(fk.definition)
    if found is None or (columns, targets) == (fk.columns, fk.target_columns):
        return fk
    head = f"FOREIGN KEY ({_list(columns)}) REFERENCES {found[1]}({_list(targets)})"
    return replace(fk, columns=columns, target_columns=targets, definition=head + fk.definition[found.end() :])


def _list(columns: tuple[str, ...]) -> str:
    return sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(None)


def add_foreign_key(fk: ForeignKey) -> Statement:
    """Add the foreign key by its own text, NOT VALID."""
    if fk.parts:
        return _add_parts(fk)
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(fk.table.sql, sql.Identifier(fk.name))
    add += verbatim(fk.definition) + sql.SQL(" NOT VALID")
    if fk.comment:
        add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(
            sql.Identifier(fk.name), fk.table.sql, sql.Literal(fk.comment)
        )
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(fk.table.sql, sql.Identifier(fk.name))
    why = "the foreign key, by its own text; validated after the commit"
    return Statement(add, why, fk.table, AX, drop, kind=Kind.FOREIGN_KEY, verb=Verb.CREATE, object=part(fk.table, fk.name))


def _add_parts(fk: ForeignKey) -> Statement:
    """Add the key on each partition that holds rows (swap.sync.partition_keys says why).

    The undo drops the key, and its parts with it. Where the follow-up has not got that far, there is no key yet.
    """
    alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
    adds, drops = [], [alter.format(fk.table.sql, verbatim("DROP"), sql.SQL("IF EXISTS ") + sql.Identifier(fk.name))]
    for table, name in fk.parts:
        add = alter.format(table.sql, verbatim("ADD"), sql.Identifier(name))
        adds.append(add + verbatim(f" {fk.definition}") + sql.SQL(" NOT VALID"))
        drops.append(alter.format(table.sql, verbatim("DROP"), sql.SQL("IF EXISTS ") + sql.Identifier(name)))
    text, undo = (sql.SQL("; ").join(x) for x in (adds, drops))
    first = fk.parts[0]
    why = "the foreign key's parts, by its own text; validated and joined after the commit"
    return Statement(text, why, first[0], AX, undo, kind=Kind.FOREIGN_KEY, verb=Verb.CREATE, object=part(*first))


def drop_foreign_key(fk: ForeignKey) -> Statement:
    return add_foreign_key(fk).reversed()


def validation(table: TableName, name: str) -> Statement:
    """Check every row against its parent, beside running writers."""
    text = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table.sql, sql.Identifier(name))
    why = "every row against its parent, beside running writers"
    return Statement(text, why, table, "SHARE UPDATE EXCLUSIVE", kind=Kind.FOREIGN_KEY, object=part(table, name))


def whole_key(fk: ForeignKey, definition: str) -> Statement:
    """Add the key of the partitioned table itself. It takes over its valid parts, so the server scans nothing."""
    name = sql.Identifier(fk.name)
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(fk.table.sql, name) + verbatim(definition)
    if fk.comment:
        add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, fk.table.sql, sql.Literal(fk.comment))
    why = "takes over the partitions' valid parts; no scan"
    return Statement(add, why, fk.table, AX, kind=Kind.FOREIGN_KEY, verb=Verb.CREATE, object=part(fk.table, fk.name))


def partitioned_key(fk: ForeignKey) -> list[Statement]:
    """Complete one key of a partitioned table, in order: validate its parts, then join them."""
    return [*(validation(table, name) for table, name in fk.parts), whole_key(fk, fk.definition)]


def validations(plan: Plan) -> list[Statement]:
    """Validate every foreign key that was valid before."""
    return [s for fk in validated_keys(plan) for s in (partitioned_key(fk) if fk.parts else [validation(fk.table, fk.name)])]


def validated_keys(plan: Plan) -> list[ForeignKey]:
    """Foreign keys that the exchange moves and that were valid before."""
    return [fk for fk in plan.catalog.foreign_keys if fk.validated and plan.touches(fk)]
