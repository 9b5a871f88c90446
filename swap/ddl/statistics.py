"""Extended statistics: built anew where their table is new or a column becomes a uuid; then names are exchanged.

They bind columns by number, so a list over `user_id` is rewritten as an index is (swap.plan.rewrite): made by its own
text on a scratch table with the columns of after the cutover, and printed with the names of before it.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from swap.catalog.model import Catalog, Statistics
from swap.core.connection import Connection
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Statement
from swap.plan.model import Plan, RefColumns, Rename
from swap.plan.rewrite import RewriteFailure, rewritten_statistics


def with_statistics(
    conn: Connection, catalog: Catalog, references: tuple[RefColumns, ...], key: str, identity: str, legacy_key: str
) -> tuple[Catalog, tuple[RewriteFailure, ...]]:
    """The catalog with those statistics that have to be built, rewritten, and those that cannot be."""
    built: list[Statistics] = []
    failures: list[RewriteFailure] = []
    for s in catalog.statistics:
        table = catalog.table(s.table)
        own = table.name == catalog.source.name
        renames = [r for ref in references if ref.table == s.table for r in ref.renames]
        if own:
            renames = [Rename(key, legacy_key), Rename(identity, key), *renames]
        integers, uuids = {r.before for r in renames[0::2]}, {r.before for r in renames[1::2]}
        if not integers.intersection(s.columns) or uuids.intersection(s.columns):
            built += [s] if own else []  # on a reference, what names no integer follows by number
            continue
        body = rewritten_statistics(conn, table, s, renames)
        if isinstance(body, RewriteFailure):
            failures.append(body)
        else:
            built.append(replace(s, body=body))
    return replace(catalog, statistics=tuple(built)), tuple(failures)


def build_name(s: Statistics) -> TableName:
    return s.name.renamed(derive(s.name.name, "_new"))


def aside_name(plan: Plan, s: Statistics) -> TableName:
    return s.name.renamed(derive(s.name.name, "_old" if s.table == plan.source else "_legacy"))


def create_statistics(plan: Plan, s: Statistics) -> list[Statement]:
    """On the shadow, or beside the application's own on a reference: SHARE UPDATE EXCLUSIVE. ANALYZE fills them."""
    table = plan.shadow if s.table == plan.source else s.table
    name = build_name(s).sql
    out: list[Query] = [create(name, s, table.sql)]
    if s.target is not None:
        out.append(sql.SQL("ALTER STATISTICS {} SET STATISTICS {}").format(name, s.target))
    if s.comment is not None:
        out.append(sql.SQL("COMMENT ON STATISTICS {} IS {}").format(name, sql.Literal(s.comment)))
    if s.owner != plan.catalog.role:
        out.append(sql.SQL("ALTER STATISTICS {} OWNER TO {}").format(name, sql.Identifier(s.owner)))
    return [Statement(o, f"as {s.name}", table, "SHARE UPDATE EXCLUSIVE") for o in out]


def create(name: sql.Identifier, s: Statistics, table: sql.Identifier) -> Query:
    kinds = verbatim(f" ({', '.join(s.kinds)})" if s.kinds else "")  # of a single expression there are none to choose
    return sql.SQL("CREATE STATISTICS {}").format(name) + kinds + verbatim(f" ON {s.body}") + sql.SQL(" FROM {}").format(table)


def drop_statistics(s: Statistics) -> Statement:
    return Statement(sql.SQL("DROP STATISTICS IF EXISTS {}").format(build_name(s).sql), "the prepared statistics", s.table)


def exchange_statistics(plan: Plan) -> list[Statement]:
    """The application's names for the new objects; the old ones step aside."""
    out = []
    for s in plan.catalog.statistics:
        out += [_rename(s.name, aside_name(plan, s)), _rename(build_name(s), s.name)]
    return out


def _rename(a: TableName, b: TableName) -> Statement:
    rename = sql.SQL("ALTER STATISTICS {} RENAME TO {}")
    return Statement(
        rename.format(a.sql, sql.Identifier(b.name)), "name of statistics", None, "",
        rename.format(b.sql, sql.Identifier(a.name)),
    )  # fmt: skip
