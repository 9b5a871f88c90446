"""Extended statistics: built anew where their table is new or a column becomes a uuid, then exchanged by name.

They bind columns by number, so a list over `user_id` is rewritten as an index is (swap.plan.rewrite): created by its own
text on a scratch table with the columns as they are after the cutover, and printed with the column names of before it.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Statistics
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.plan.model import Plan


def build_name(s: Statistics) -> TableName:
    """What the new object is called until the exchange."""
    return s.name.renamed(derive(s.name.name, "_new"))


def retired_name(plan: Plan, s: Statistics) -> TableName:
    """What the old object is called after the exchange."""
    return s.name.renamed(derive(s.name.name, "_old" if plan.swapped_table(s.table) else "_legacy"))


def create_statistics(plan: Plan, s: Statistics) -> list[Statement]:
    """Create statistics on a shadow, or beside the application's own on a reference. ANALYZE fills them.

    Takes SHARE UPDATE EXCLUSIVE.
    """
    swapped = plan.swapped_table(s.table)
    table = swapped.shadow if swapped else s.table
    name = build_name(s).sql
    out: list[Query] = [create(name, s, table.sql)]
    if s.target is not None:
        out.append(sql.SQL("ALTER STATISTICS {} SET STATISTICS {}").format(name, s.target))
    if s.comment is not None:
        out.append(sql.SQL("COMMENT ON STATISTICS {} IS {}").format(name, sql.Literal(s.comment)))
    if s.owner != plan.catalog.role:
        out.append(sql.SQL("ALTER STATISTICS {} OWNER TO {}").format(name, sql.Identifier(s.owner)))
    return [
        Statement(
            o, f"as {s.name}", table, "SHARE UPDATE EXCLUSIVE", kind=Kind.STATISTICS, verb=Verb.CREATE,
            path=s.meaning.path if o is out[0] else (),
        )
        for o in out
    ]  # fmt: skip


def create(name: sql.Identifier, s: Statistics, table: sql.Identifier) -> Query:
    kinds = verbatim(f" ({', '.join(s.kinds)})" if s.kinds else "")  # statistics over a single expression have no kinds
    return sql.SQL("CREATE STATISTICS {}").format(name) + kinds + verbatim(f" ON {s.body}") + sql.SQL(" FROM {}").format(table)


def drop_statistics(s: Statistics) -> Statement:
    drop = sql.SQL("DROP STATISTICS IF EXISTS {}").format(build_name(s).sql)
    return Statement(drop, "the prepared statistics", s.table, kind=Kind.STATISTICS, verb=Verb.DROP)


def exchange_statistics(plan: Plan) -> list[Statement]:
    """Give the new objects the application's names, and the old ones their retired names."""
    out = []
    for s in plan.catalog.statistics:
        out += [_rename(s.name, retired_name(plan, s)), _rename(build_name(s), s.name)]
    return out


def _rename(a: TableName, b: TableName) -> Statement:
    rename = sql.SQL("ALTER STATISTICS {} RENAME TO {}")
    there, back = rename.format(a.sql, sql.Identifier(b.name)), rename.format(b.sql, sql.Identifier(a.name))
    return Statement(there, "name of statistics", None, "", back, kind=Kind.STATISTICS)


def statistics_of(plan: Plan, table: TableName) -> list[Statement]:
    """Create the table's extended statistics, in time for its ANALYZE."""
    return [x for s in plan.catalog.statistics if s.table == table for x in create_statistics(plan, s)]
