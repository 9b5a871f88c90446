"""Foreign keys into and out of the source: dropped where they must not be enforced, added NOT VALID by their own text."""

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
    """Every foreign key into or out of the source: none may be enforced on the side that is only maintained."""
    return [fk for fk in plan.catalog.foreign_keys if plan.touches(fk)]


def foreign_keys_after(plan: Plan) -> list[ForeignKey]:
    """Those of after the exchange. The application's own foreign key over the uuids is not among them where the
    integers have the same one, which says the same then; where a table knows the uuid alone, it follows the column.
    """
    moved = moved_foreign_keys(plan)
    made = [_after(plan, fk) for fk in moved]
    kept = {(fk.table, fk.columns, fk.target, fk.target_columns) for fk in moved}
    return [
        new
        for fk, new in zip(moved, made, strict=True)
        if new == fk or (new.table, new.columns, new.target, new.target_columns) not in kept
    ]


# A definition's names, as pg_get_constraintdef prints it: each is quoted or holds none of `"()`.
COLUMNS = r'\((?:[^"()]|"(?:[^"]|"")*")*\)'
HEAD = re.compile(rf'FOREIGN KEY {COLUMNS} REFERENCES ((?:[^"(]|"(?:[^"]|"")*")+){COLUMNS}')


def _after(plan: Plan, fk: ForeignKey) -> ForeignKey:
    """The same text but for uuid columns, which have other names then."""
    refs = [*(r.columns for r in plan.references), *plan.own_references]
    uuids = {(r.table, r.uuid_column): r.column for r in refs} | {(plan.source, plan.identity): plan.key}
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
    """On each partition that holds rows: `swap.sync.partition_keys` says why. Dropping the key drops its parts; where the
    follow-up has not come so far, there is no key yet."""
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
    text = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table.sql, sql.Identifier(name))
    why = "every row against its parent, beside running writers"
    return Statement(text, why, table, "SHARE UPDATE EXCLUSIVE", kind=Kind.FOREIGN_KEY, object=part(table, name))


def whole_key(fk: ForeignKey, definition: str) -> Statement:
    """The key of the partitioned table itself; its valid parts are taken over."""
    name = sql.Identifier(fk.name)
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(fk.table.sql, name) + verbatim(definition)
    if fk.comment:
        add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, fk.table.sql, sql.Literal(fk.comment))
    why = "takes over the partitions' valid parts; no scan"
    return Statement(add, why, fk.table, AX, kind=Kind.FOREIGN_KEY, verb=Verb.CREATE, object=part(fk.table, fk.name))


def partitioned_key(fk: ForeignKey) -> list[Statement]:
    """What is done for one key, in order."""
    return [*(validation(table, name) for table, name in fk.parts), whole_key(fk, fk.definition)]


def validations(plan: Plan) -> list[Statement]:
    """VALIDATE of every foreign key that was valid before."""
    return [s for fk in validated_keys(plan) for s in (partitioned_key(fk) if fk.parts else [validation(fk.table, fk.name)])]


def validated_keys(plan: Plan) -> list[ForeignKey]:
    return [fk for fk in plan.catalog.foreign_keys if fk.validated and plan.touches(fk)]
