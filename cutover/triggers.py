"""The source's own triggers: quiet on the retired table, created by their text on the new one."""

from __future__ import annotations

from psycopg import sql

from swap.core.plan import Plan
from swap.core.statement import AX, Statement
from swap.core.text import Query, verbatim

ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


def quiet_triggers(plan: Plan) -> list[Statement]:
    """User triggers of the source must not fire when replay maintains it as the retired table."""
    alter = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    return [
        Statement(
            alter.format(plan.source.sql, verbatim("DISABLE"), sql.Identifier(t.name)),
            "replay into the retired table fires no user trigger", plan.source, AX,
            alter.format(plan.source.sql, verbatim(ENABLE[t.enabled]), sql.Identifier(t.name)),
        )
        for t in plan.source_table.triggers
    ]  # fmt: skip


def user_triggers(plan: Plan) -> list[Statement]:
    """The source's triggers on the new table, by their own text: column names now mean the new columns."""
    out = []
    for t in plan.source_table.triggers:
        name = sql.Identifier(t.name)
        create: Query = verbatim(t.definition)
        if t.enabled != "O":
            create += sql.SQL("; ALTER TABLE {} {} TRIGGER {}").format(plan.source.sql, verbatim(ENABLE[t.enabled]), name)
        if t.comment:
            create += sql.SQL("; COMMENT ON TRIGGER {} ON {} IS {}").format(name, plan.source.sql, sql.Literal(t.comment))
        drop = sql.SQL("DROP TRIGGER {} ON {}").format(name, plan.source.sql)
        out.append(Statement(create, "user trigger", plan.source, AX, drop))
    return out
