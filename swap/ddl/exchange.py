"""The exchange: what the cutover's transaction runs, in order. `revert` runs the undo of each statement, last first.

The cutover holds ACCESS EXCLUSIVE on every table named here. No statement scans or rewrites a table: names change,
constraints are added NOT VALID and validated after the commit, and indexes exist already.

Policies, checks, generated columns and index predicates bind columns by number, and go on meaning the integer. They were
created under the old column names. Policies are created between the renames of the tables and the renames of the columns.
Views, functions, foreign keys and user triggers are created by their text. They bind by name, so they mean the uuid.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import View
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.ddl.capture import capture, capture_functions
from swap.ddl.columns import rename_column
from swap.ddl.compat import compat_triggers
from swap.ddl.exchange_references import exchange_references
from swap.ddl.fence import fence_function, fence_trigger
from swap.ddl.foreign_keys import add_foreign_key, drop_foreign_key, foreign_keys_after, moved_foreign_keys
from swap.ddl.functions import create_function, reset_functions
from swap.ddl.grants import by_new_names, grants
from swap.ddl.guards import source_guards
from swap.ddl.indexes import rename_index
from swap.ddl.policies import bind_policies, release_policies, replace_policies
from swap.ddl.publications import release_publications, take_publications
from swap.ddl.rename import rename_table
from swap.ddl.sequences import release_sequences, take_sequences
from swap.ddl.set_aside import WORDS, dependents, set_aside
from swap.ddl.statistics import exchange_statistics
from swap.ddl.triggers import bind_triggers, quiet_triggers, release_triggers, user_triggers
from swap.ddl.views import create_view
from swap.plan.direction import Direction
from swap.plan.model import Plan


def exchange(plan: Plan) -> list[Statement]:
    """List every statement of the cutover's script, in order."""
    live, shadow, retired = plan.source, plan.shadow, plan.retired
    return [
        *set_aside(plan),
        *release_policies(plan),
        *release_triggers(plan),
        *(drop_foreign_key(fk) for fk in reversed(moved_foreign_keys(plan))),  # revert adds them in their old order
        *(s.reversed() for s in reversed(live_objects(plan, live, Direction.FORWARD))),
        *quiet_triggers(plan),
        *(s.reversed() for s in reversed(grants(live, plan.source_table.grants, plan.source_table.owner))),
        *release_sequences(plan),
        *release_publications(plan),
        rename_table(live, retired),
        *(rename_index(live.schema, r.before, r.after) for r in plan.retired_indexes),
        rename_table(shadow, live),
        *bind_policies(plan),
        *not_valid_checks(plan),
        *bind_triggers(plan),
        *(rename_column(live, r.before, r.after) for r in plan.renames),
        *(rename_index(live.schema, i.build_name, i.final_name) for i in plan.indexes if i.final_name),
        *exchange_statistics(plan),
        *take_sequences(plan),
        *exchange_references(plan),
        *(add_foreign_key(fk) for fk in foreign_keys_after(plan)),
        *take_publications(plan),
        *user_triggers(plan),
        *grants(live, by_new_names(plan), plan.source_table.owner),
        *live_objects(plan, live, Direction.REVERSE),
        *(s for f in dependents(plan) for s in (create_view(f) if isinstance(f, View) else create_function(f))),
        *reset_functions(plan),
        *replace_policies(plan),
    ]


def live_objects(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Create what swap keeps on the live table: capture, guards, compat triggers, fence."""
    return [
        *capture(plan, table, direction),
        *source_guards(plan, table, direction),
        *compat_triggers(plan, direction, source=True),
        fence_trigger(plan, table),
    ]


def not_valid_checks(plan: Plan) -> list[Statement]:
    """Add again, NOT VALID, the CHECK constraints that were never validated: no copied row was checked against them."""
    alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
    out = []
    for c in (c for c in plan.source_table.checks if not c.validated):
        name = sql.Identifier(c.name)
        add = alter.format(plan.source.sql, verbatim("ADD"), name) + verbatim(f" {c.definition} NOT VALID")
        if c.comment:
            add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, plan.source.sql, sql.Literal(c.comment))
        drop = alter.format(plan.source.sql, verbatim("DROP"), name)
        label = part(plan.source, c.name)
        why = "a check that was never validated"
        out.append(
            Statement(
                add, why, plan.source, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label, path=c.meaning.path
            )
        )  # fmt: skip
    return out


def lock_statements(plan: Plan, kind: str) -> list[Query]:
    """Lock the views, then every table involved, in a fixed order.

    Views come first, topmost first: a reader locks its view before the tables under it. LOCK TABLE on a view would lock every
    table under it as well, and it refuses a materialized view. ALTER … OWNER TO the owner that the view has takes the same
    lock on the view alone, and changes nothing.

    The source comes next. Applications reach its children through it, in the same transaction, far more often than the other
    way round. A lock order that opposes theirs is refused again and again (seen under load: seconds of attempts with the
    source last, well under one second with it first).
    """
    views = [
        sql.SQL("ALTER {} {} OWNER TO {}").format(verbatim(WORDS[v.kind]), v.name.sql, sql.Identifier(v.owner))
        for v in reversed(plan.catalog.views)
    ]
    others = [t.sql for t in plan.locked_tables if t != plan.source]
    maintained = plan.shadow if kind == "cutover" else plan.retired
    names = sql.SQL(", ").join([plan.source.sql, *others, maintained.sql])
    return [*views, sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names)]


def closing_statements(plan: Plan, after: Direction, table_no: int, generation: int) -> list[Statement]:
    """Change the capture functions and the fence in the state schema, in the same script."""
    fence = sql.SQL("UPDATE {} SET generation = {} WHERE tag = {}").format(
        sql.Identifier(plan.state_schema, "fence"), sql.Literal(generation), sql.Literal(plan.tag)
    )
    return [
        *capture_functions(plan, after, table_no),
        fence_function(plan, generation),
        Statement(fence, "snapshots of before the exchange are told to retry", kind=Kind.CAPTURE),
    ]
