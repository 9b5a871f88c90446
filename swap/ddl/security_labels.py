"""Security labels (SECURITY LABEL): each name has the same labels after the cutover as before.

The shadow gets the labels of the source's table and columns, a uuid those of the reference's column whose name it takes.
The server keeps labels by column number, like comments.

The provider decides what a label may say and who may give it, and the session must have loaded the provider. The trial
finds out whether it works, and reports it under the name of the object.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from swap.catalog.model import Table
from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import Plan, RefColumns, SwappedTable


def shadow_labels(plan: Plan, t: SwappedTable, names: Mapping[str, str]) -> list[Statement]:
    """Label the shadow. `names`: each uuid column, and the integer column whose name it takes in the cutover."""
    source, shadow = plan.table_of(t), t.shadow
    out = [_label(shadow, source.name, None, x.provider, x.label) for x in source.labels if x.column is None]
    columns = {c.name: _of(source, c.name) for c in source.columns}
    columns |= {uuid: columns.get(uuid, {}) | columns[integer] for uuid, integer in names.items()}
    if t.is_source and plan.compat_column:
        columns[plan.compat_column] = _of(source, plan.identity)
    columns |= {r.compat_column: _of(source, r.uuid_column) for r in t.references if r.compat_column}
    for column, labels in columns.items():
        out += [_label(shadow, source.name, column, provider, text) for provider, text in labels.items()]
    return out


def exchange_labels(plan: Plan, ref: RefColumns) -> list[Statement]:
    """Label the uuid, now called `ref.column`, as the integer was labelled. Run after the rename.

    The undo gives it the labels again that it had under its own name.
    """
    table = plan.catalog.table(ref.table)
    its_own = _of(table, ref.uuid_column)
    pairs = [(ref.column, text, provider, its_own.get(provider)) for provider, text in _of(table, ref.column).items()]
    if ref.compat_column:
        pairs += [(ref.uuid_column, text, provider, None) for provider, text in its_own.items()]
    return [_label(ref.table, ref.table, column, provider, text, undo) for column, text, provider, undo in pairs]


def _of(table: Table, column: str) -> dict[str, str]:
    return {x.provider: x.label for x in table.labels if x.column == column}


def _label(table: TableName, of: TableName, column: str | None, provider: str, text: str, before: str | None = None) -> Statement:
    on = sql.SQL("TABLE {}").format(table.sql)
    if column is not None:
        on = sql.SQL("COLUMN {}.{}").format(table.sql, sql.Identifier(column))
    label = sql.SQL("SECURITY LABEL FOR {} ON {} IS {}")
    give, undo = (label.format(sql.Identifier(provider), on, sql.Literal(t)) for t in (text, before))
    label_of = part(of, column) if column is not None else str(of)
    return Statement(
        give, f"security label of {label_of}", table, AX, undo, kind=Kind.SECURITY_LABEL, verb=Verb.CREATE, object=label_of,
    )  # fmt: skip
