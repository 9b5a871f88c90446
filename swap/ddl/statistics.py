"""Extended statistics: built anew where their table is new or a column becomes a uuid; then names are exchanged.

They bind columns by number, so a list over `user_id` is rewritten as an index is (swap.plan.rewrite): made by its own
text on a scratch table with the columns of after the cutover, and printed with the names of before it.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Statistics
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.plan.model import Plan


def build_name(s: Statistics) -> TableName:
    return s.name.renamed(derive(s.name.name, "_new"))


def retired_name(plan: Plan, s: Statistics) -> TableName:
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
    return [Statement(o, f"as {s.name}", table, "SHARE UPDATE EXCLUSIVE", kind=Kind.STATISTICS, verb=Verb.CREATE) for o in out]


def create(name: sql.Identifier, s: Statistics, table: sql.Identifier) -> Query:
    kinds = verbatim(f" ({', '.join(s.kinds)})" if s.kinds else "")  # of a single expression there are none to choose
    return sql.SQL("CREATE STATISTICS {}").format(name) + kinds + verbatim(f" ON {s.body}") + sql.SQL(" FROM {}").format(table)


def drop_statistics(s: Statistics) -> Statement:
    drop = sql.SQL("DROP STATISTICS IF EXISTS {}").format(build_name(s).sql)
    return Statement(drop, "the prepared statistics", s.table, kind=Kind.STATISTICS, verb=Verb.DROP)


def exchange_statistics(plan: Plan) -> list[Statement]:
    """The application's names for the new objects; the old ones step aside."""
    out = []
    for s in plan.catalog.statistics:
        out += [_rename(s.name, retired_name(plan, s)), _rename(build_name(s), s.name)]
    return out


def _rename(a: TableName, b: TableName) -> Statement:
    rename = sql.SQL("ALTER STATISTICS {} RENAME TO {}")
    there, back = rename.format(a.sql, sql.Identifier(b.name)), rename.format(b.sql, sql.Identifier(a.name))
    return Statement(there, "name of statistics", None, "", back, kind=Kind.STATISTICS)


def statistics_of(plan: Plan, table: TableName) -> list[Statement]:
    """Extended statistics that are built for the table, in time for its ANALYZE."""
    return [x for s in plan.catalog.statistics if s.table == table for x in create_statistics(plan, s)]
