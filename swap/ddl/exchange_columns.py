"""What belongs to a reference's column and not to its table: rights, comment and security labels.

All are held by column number, and so stay with the integer when the names change. The uuid column gets the same
while it bears the application's name; the integer keeps its own, which the way back needs.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.statement import AX, Statement
from swap.ddl.grants import grants
from swap.ddl.security_labels import exchange_labels
from swap.plan.model import Plan, RefColumns


def exchange_column(plan: Plan, ref: RefColumns) -> list[Statement]:
    """Run after the rename: `ref.column` is the uuid. What an adopted column has already is not given, nor taken."""
    table = plan.catalog.table(ref.table)
    column, uuid = table.column(ref.column), table.column(ref.uuid_column)
    has = {(g.grantee, g.grantor, g.privilege, g.grantable) for g in table.grants if g.column == ref.uuid_column}
    out = grants(
        ref.table,
        tuple(g for g in table.grants if g.column == ref.column and (g.grantee, g.grantor, g.privilege, g.grantable) not in has),
        table.owner,
    )
    if ref.compat_column:
        # The second name of the uuid has the rights that the application's column of this name had.
        out += grants(ref.table, tuple(g for g in table.grants if g.column == ref.uuid_column), table.owner)
    if column is not None and column.comment is not None:
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}")
        name = sql.Identifier(ref.column)
        out.append(
            Statement(
                comment.format(ref.table.sql, name, sql.Literal(column.comment)), "the column's comment", ref.table, AX,
                comment.format(ref.table.sql, name, sql.Literal(uuid.comment if uuid else None)),
            )
        )  # fmt: skip
    return out + exchange_labels(plan, ref)
