"""GRANTs in the order of the ACL, each made by the role that gave it.

A privilege that a role passed on (WITH GRANT OPTION) goes when that role loses its own. Only that role, or the owner's
REVOKE … CASCADE, takes it back. Where the session may act for the owner, the server records the owner as the giver. So
swap becomes each other giver first (SET ROLE).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from psycopg import sql

from swap.catalog.model import Grant
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.plan.model import Plan, SwappedTable


def grants(table: TableName, entries: tuple[Grant, ...], owner: str | None = None) -> list[Statement]:
    """Grant in the ACL's own order, so that a dump prints the grants as before.

    `owner`: the owner of the table. Grants that another role gave are made as that role. None: all are made by the session.
    """
    out = []
    for on_columns in (False, True):
        mine = (g for g in entries if (g.column is not None) == on_columns)
        for (column, grantee, grantor, grantable), group in groupby(
            mine, key=lambda g: (g.column, g.grantee, g.grantor, g.grantable)
        ):
            by = grantor if owner is not None and grantor != owner else None
            out.append(_grant(table, grantee, [g.privilege for g in group], column, grantable, by))
    return out


def by_new_names(plan: Plan, t: SwappedTable) -> tuple[Grant, ...]:
    """A swapped table's grants for the new table. A privilege on a uuid column becomes one on the name that the column takes."""
    uuids = {p.uuid: p.integer for p in plan.pairs_of(t.name)}
    old = plan.table_of(t).grants
    renamed = [replace(g, column=uuids.get(g.column, g.column)) if g.column else g for g in old]
    kept = [g for g in old if g.column in uuids] if plan.compat_column else []
    return tuple(dict.fromkeys([*renamed, *kept]))


def owner_rights(what: Query, owner: str, privileges: tuple[str, ...] | None) -> list[Query]:
    """Reduce the owner's privileges on `what` (TABLE name, ROUTINE name) to `privileges`. None: the owner keeps all."""
    if privileges is None:
        return []
    who = sql.Identifier(owner)
    revoke = sql.SQL("REVOKE ALL ON {} FROM {}").format(what, who)
    grant = sql.SQL("GRANT {} ON {} TO {}").format(verbatim(", ".join(privileges)), what, who)
    return [revoke, grant] if privileges else [revoke]


def _grant(
    table: TableName, grantee: str | None, privileges: list[str], column: str | None, grantable: bool, by: str | None
) -> Statement:
    who = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
    on = sql.SQL(" ({})").format(sql.Identifier(column)) if column else sql.SQL("")
    what = sql.SQL(", ").join(verbatim(p) + on for p in privileges)
    suffix = sql.SQL(" WITH GRANT OPTION" if grantable else "")
    grant = sql.SQL("GRANT {} ON {} TO {}").format(what, table.sql, who) + suffix
    revoke = sql.SQL("REVOKE {} ON {} FROM {}").format(what, table.sql, who)
    if by is not None:
        become = sql.SQL("SET LOCAL ROLE {}; ").format(sql.Identifier(by))
        grant, revoke = (become + s + sql.SQL("; RESET ROLE") for s in (grant, revoke))
    return Statement(grant, "grants", table, "", revoke, kind=Kind.GRANT, verb=Verb.CREATE)
