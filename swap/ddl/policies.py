"""Row security policies: the source's own, and those of other tables that read the source.

A policy's expression binds columns by number and tables by OID. So swap creates each policy by its own text at one
moment: the tables have exchanged their names, and no column is renamed yet. At this moment every name in the text means
the new table and the integer columns, and the renames that follow carry both along. A policy that compares a setting with
the integer goes on doing so (H29). A policy of another table that joins the source then joins the new table.

A policy that reads only a reference's table needs nothing: that table stays, and so does the column's number. A policy
that the configuration replaces is created last, over the new columns. A revert brings its old text back.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Policy
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import Plan

COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}


def release_policies(plan: Plan) -> list[Statement]:
    """Drop the policies of other tables that cannot stay as they are. The undo creates them when every name is back."""
    why = "a policy that is bound to the retired table, or that [[policy]] replaces"
    moved = {(b.table, b.policy.name): b.policy for b in plan.bound_policies}
    moved |= {(n.table, n.old.name): n.old for n in plan.new_policies if plan.swapped_table(n.table) is None}
    return [create_policy(table, p, why).reversed() for (table, _), p in sorted(moved.items(), reverse=True)]


def bind_policies(plan: Plan) -> list[Statement]:
    """Create the swapped tables' own policies on the new tables, and those of other tables that read them."""
    new = {(n.table, n.old.name) for n in plan.new_policies}
    why = "the policy, over the same (integer) columns"
    own = [(t.name, p, why) for t in plan.swapped for p in plan.table_of(t).policies]
    others = [(b.table, b.policy, "the policy, bound to the new table") for b in plan.bound_policies]
    return [create_policy(t, p, why) for t, p, why in (*own, *others) if (t, p.name) not in new]


def replace_policies(plan: Plan) -> list[Statement]:
    """Create the policies of [[policy]] over the new columns, when everything has its new name."""
    return [create_policy(n.table, n.policy, "the policy, with the expression of [[policy]]") for n in plan.new_policies]


def create_policy(table: TableName, p: Policy, why: str) -> Statement:
    """Create the policy by its text, with its comment. Undo: DROP POLICY."""
    name = sql.Identifier(p.name)
    roles = sql.SQL(", ").join(sql.SQL("PUBLIC") if r == "public" else sql.Identifier(r) for r in p.roles)
    how = verbatim("PERMISSIVE" if p.permissive else "RESTRICTIVE")
    text = sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}").format(name, table.sql, how, verbatim(COMMANDS[p.command]), roles)
    if p.using is not None:
        text += verbatim(f" USING ({p.using})")
    if p.check is not None:
        text += verbatim(f" WITH CHECK ({p.check})")
    if p.comment:
        text += sql.SQL("; COMMENT ON POLICY {} ON {} IS {}").format(name, table.sql, sql.Literal(p.comment))
    drop = sql.SQL("DROP POLICY {} ON {}").format(name, table.sql)
    return Statement(
        text, why, table, AX, drop, kind=Kind.POLICY, verb=Verb.CREATE, object=part(table, p.name), path=p.meaning.path
    )  # fmt: skip
