"""Publications that list a table: they publish the new table in its place, with the same column names and row filter.

A column list binds by number. Left alone, a list (id, user_id) of a reference would publish the integer under its new
name. Subscribers receive the same column names as before, with the new type (docs/limits.md). Publications of all tables
or of a schema take in the new table by themselves, and the retired one with it.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Publication
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.plan.model import ColumnPair, Plan

Listed = tuple[TableName, Publication, tuple[str, ...]]


def release_publications(plan: Plan) -> list[Statement]:
    """Stop publishing the listed tables, while tables and columns have their old names."""
    return [_publish(table, p, p.columns).reversed() for table, p, _ in _listed(plan)]


def take_publications(plan: Plan) -> list[Statement]:
    """Publish the listed tables again, when tables and columns have their new names."""
    return [_publish(table, p, columns) for table, p, columns in _listed(plan)]


def _listed(plan: Plan) -> list[Listed]:
    """The swapped tables wherever they are listed, and a reference where the list names a column that changes its name."""
    out: list[Listed] = []
    for table in plan.catalog.tables:
        pairs = plan.pairs_of(table.name)
        renamed = {c for p in pairs for c in (p.integer, p.uuid)}
        for p in table.publications:
            if p.kind == "table" and (plan.swapped_table(table.name) or renamed.intersection(p.columns)):
                out.append((table.name, p, _by_new_names(p.columns, pairs)))
    return out


def _by_new_names(columns: tuple[str, ...], pairs: tuple[ColumnPair, ...]) -> tuple[str, ...]:
    """The list after the cutover. An integer's name stays and means the uuid; the uuid column's own name is gone."""
    uuids = {p.uuid: p.integer for p in pairs}
    return tuple(dict.fromkeys(uuids.get(c, c) for c in columns))


def _publish(table: TableName, p: Publication, columns: tuple[str, ...]) -> Statement:
    alter = sql.SQL("ALTER PUBLICATION {} ").format(sql.Identifier(p.name))
    add = alter + sql.SQL("ADD TABLE {}").format(table.sql)
    if columns:
        add += sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
    if p.filter is not None:
        add += verbatim(f" WHERE ({p.filter})")
    drop = alter + sql.SQL("DROP TABLE {}").format(table.sql)
    return Statement(add, "the publication", table, AX, drop, kind=Kind.PUBLICATION, verb=Verb.CREATE)
