"""Foreign keys into and out of the source: dropped where they must not be enforced, added NOT VALID by their own text."""

from __future__ import annotations

from psycopg import sql

from swap.core.catalog.model import ForeignKey
from swap.core.plan import Plan
from swap.core.statement import AX, Statement
from swap.core.text import verbatim


def moved_foreign_keys(plan: Plan) -> list[ForeignKey]:
    """Every foreign key into or out of the source: none may be enforced on the side that is only maintained."""
    return [fk for fk in plan.catalog.foreign_keys if plan.touches(fk)]


def is_adopted(plan: Plan, fk: ForeignKey) -> bool:
    """The application's own uuid foreign key: after the cutover the reference's own one says the same."""
    return fk.target == plan.source and plan.identity in fk.target_columns


def add_foreign_key(fk: ForeignKey) -> Statement:
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(fk.table.sql, sql.Identifier(fk.name))
    add += verbatim(fk.definition) + sql.SQL(" NOT VALID")
    if fk.comment:
        add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(
            sql.Identifier(fk.name), fk.table.sql, sql.Literal(fk.comment)
        )
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(fk.table.sql, sql.Identifier(fk.name))
    return Statement(add, "the foreign key, by its own text; validated after the commit", fk.table, AX, drop)


def drop_foreign_key(fk: ForeignKey) -> Statement:
    return add_foreign_key(fk).reversed()
