"""Views and materialized views: the exchange creates them by their own text after the renames, so that they bind by name.

CREATE OR REPLACE VIEW cannot change a column's type (H26), so the old ones are set aside (swap.ddl.set_aside).
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import View, ViewPart
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.columns import COMPRESSION, STORAGE, parameters
from swap.ddl.grants import grants, owner_rights
from swap.ddl.materialized_views import is_small, refresh
from swap.ddl.set_aside import WORDS

REPLICA_IDENTITY = {"f": "REPLICA IDENTITY FULL", "n": "REPLICA IDENTITY NOTHING"}


def create_view(view: View) -> list[Statement]:
    """Create the view by its own text, with all its attributes. A small materialized view is filled at once (`is_small`)."""
    steps: list[Query] = [_create(view)]
    kind, name = verbatim(WORDS[view.kind]), view.name.sql
    alter = sql.SQL("ALTER {} {} ").format(kind, name)
    steps.append(alter + sql.SQL("OWNER TO {}").format(sql.Identifier(view.owner)))
    for part in view.parts:
        steps += _part(view, part, alter)
    if view.comment:
        steps.append(sql.SQL("COMMENT ON {} {} IS {}").format(kind, name, sql.Literal(view.comment)))
    if view.kind == "m" and view.replident in REPLICA_IDENTITY:
        steps.append(alter + verbatim(REPLICA_IDENTITY[view.replident]))
    steps.append(bare_acl(view.name))
    steps += owner_rights(sql.SQL("TABLE {}").format(name), view.owner, view.owner_privileges)
    steps += [g.sql for g in grants(view.name, view.grants)]
    if view.kind == "m" and view.populated and is_small(view):
        steps += refresh(view)
    drop = sql.SQL("DROP {} {}").format(kind, name)
    text, why, path = sql.SQL("; ").join(steps), "by its own text", view.meaning.path
    return [Statement(text, why, view.name, AX, drop, kind=Kind.VIEW, verb=Verb.CREATE, path=path)]


def _create(view: View) -> Query:
    options = (*view.options, *(f"toast.{o}" for o in view.toast_options))
    create: Query = sql.SQL("CREATE {} {}").format(verbatim(WORDS[view.kind]), view.name.sql)
    if view.kind == "m" and view.access_method:
        create += sql.SQL(" USING {}").format(sql.Identifier(view.access_method))
    if options:
        create += sql.SQL(" WITH ({})").format(parameters(options))
    if view.tablespace:
        create += sql.SQL(" TABLESPACE {}").format(sql.Identifier(view.tablespace))
    create += sql.SQL(" AS ") + verbatim(view.definition)
    return create + sql.SQL(" WITH NO DATA") if view.kind == "m" else create


def _part(view: View, p: ViewPart, alter: Query) -> list[Query]:
    name, at = sql.Identifier(p.name), view.name.renamed(p.name).sql
    column = alter + sql.SQL("ALTER COLUMN {} ").format(name)
    comment, on = sql.SQL("COMMENT ON {} {} IS {}"), sql.SQL("{} ON {}").format(name, view.name.sql)
    text = sql.Literal(p.comment)
    if p.kind == "column":
        of = sql.SQL("{}.{}").format(view.name.sql, name)
        out: list[Query] = [column + verbatim(f"SET DEFAULT {p.text}")] if p.text else []
        return [*out, comment.format(verbatim("COLUMN"), of, text)] if p.comment else out
    if p.kind in ("trigger", "rule"):
        out = [verbatim(p.text.rstrip().rstrip(";"))]
        return [*out, comment.format(verbatim(p.kind.upper()), on, text)] if p.comment else out
    if p.kind == "index":
        out = [verbatim(p.text)]
        if p.more:
            out.append(sql.SQL("ALTER INDEX {} SET TABLESPACE {}").format(at, sql.Identifier(p.more)))
        return [*out, comment.format(verbatim("INDEX"), at, text)] if p.comment else out
    if p.kind == "index statistics":
        return [sql.SQL("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS ").format(at, sql.Literal(p.number)) + verbatim(p.text)]
    if p.kind == "replica identity":
        return [alter + sql.SQL("REPLICA IDENTITY USING INDEX {}").format(name)]
    if p.kind == "cluster":
        return [alter + sql.SQL("CLUSTER ON {}").format(name)]
    settings = {
        "statistics": f"SET STATISTICS {p.text}",
        "storage": f"SET STORAGE {STORAGE.get(p.text)}",
        "compression": f"SET COMPRESSION {COMPRESSION.get(p.text)}",
        "options": f"SET ({p.text})",
    }
    return [column + verbatim(settings[p.kind])]
