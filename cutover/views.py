"""Views are dropped before the exchange and created after it by their own text: they bind by name then."""

from __future__ import annotations

from psycopg import sql

from cutover.grants import grants
from swap.core.catalog.model import View
from swap.core.statement import AX, Statement
from swap.core.text import Query, verbatim


def create_view(view: View) -> list[Statement]:
    """The view by its own text, with owner, grants and comment; it binds by name."""
    options: Query = sql.SQL("")
    if view.options:
        pairs = [o.split("=", 1) for o in view.options]
        options = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(verbatim(f"{k} = ") + sql.Literal(v) for k, v in pairs))
    create = sql.SQL("CREATE VIEW {}").format(view.name.sql) + options + sql.SQL(" AS ")
    create += verbatim((view.definition or "").rstrip().rstrip(";"))
    create += sql.SQL("; ALTER VIEW {} OWNER TO {}").format(view.name.sql, sql.Identifier(view.owner))
    for g in grants(view.name, view.grants):
        create += sql.SQL("; ") + g.sql
    if view.comment:
        create += sql.SQL("; COMMENT ON VIEW {} IS {}").format(view.name.sql, sql.Literal(view.comment))
    drop = sql.SQL("DROP VIEW {}").format(view.name.sql)
    return [Statement(create, "the view, by its own text", view.name, AX, drop)]
