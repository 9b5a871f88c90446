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
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.ddl.capture import capture, functions_of_table, truncate_trigger
from swap.ddl.columns import rename_column
from swap.ddl.compat import compat_triggers
from swap.ddl.defaults import exchange_defaults, replace_defaults
from swap.ddl.exchange_references import exchange_references
from swap.ddl.fence import fence_function, fence_trigger
from swap.ddl.foreign_keys import add_foreign_key, drop_foreign_key, foreign_keys_after, moved_foreign_keys
from swap.ddl.functions import create_function, replace_functions, reset_functions
from swap.ddl.grants import by_new_names, grants
from swap.ddl.guards import swapped_guards
from swap.ddl.indexes import rename_index
from swap.ddl.key_mapping import resolver_functions
from swap.ddl.partition_triggers import turned_functions
from swap.ddl.partitioned import exchange_partitions, partition_grants
from swap.ddl.policies import bind_policies, release_policies, replace_policies
from swap.ddl.publications import release_publications, take_publications
from swap.ddl.rename import rename_table
from swap.ddl.sequences import lock_sequences, release_sequences, take_sequences
from swap.ddl.set_aside import WORDS, made_again, set_aside
from swap.ddl.statistics import exchange_statistics
from swap.ddl.triggers import bind_triggers, quiet_triggers, release_triggers, replace_triggers, user_triggers
from swap.ddl.views import create_view
from swap.ddl.waiting import carry_waiting, queue_waiting
from swap.plan.direction import Direction
from swap.plan.model import Plan, SwappedTable


def exchange(plan: Plan) -> list[Statement]:
    """List every statement of the cutover's script, in order."""
    tables = plan.swapped
    return [
        *set_aside(plan),
        *release_policies(plan),
        *release_triggers(plan),
        *(drop_foreign_key(fk) for fk in reversed(moved_foreign_keys(plan))),  # revert adds them in their old order
        *(s.reversed() for t in tables for s in reversed(_exchanged_objects(plan, t, Direction.FORWARD))),
        *quiet_triggers(plan),
        *(s.reversed() for t in tables for s in reversed(_old_grants(plan, t))),
        *release_sequences(plan),
        *release_publications(plan),
        *(s for t in tables for s in (*_exchange_names(t), *exchange_partitions(t))),
        *bind_policies(plan),
        *(s for t in tables for s in not_valid_checks(plan, t)),
        *bind_triggers(plan),
        *(rename_column(t.name, r.before, r.after) for t in tables for r in plan.renames_of(t)),
        *(rename_index(t.name.schema, i.build_name, i.final_name) for t in tables for i in t.indexes if i.final_name),
        *exchange_statistics(plan),
        *take_sequences(plan),
        *exchange_references(plan),
        *exchange_defaults(plan),
        *(add_foreign_key(fk) for fk in foreign_keys_after(plan)),
        *take_publications(plan),
        *user_triggers(plan),
        *(s for t in tables for s in grants(t.name, by_new_names(plan, t), plan.table_of(t).owner)),
        *(s for t in tables for s in partition_grants(plan, t)),
        *(s for t in tables for s in _exchanged_objects(plan, t, Direction.REVERSE)),
        *replace_functions(plan),
        *(s for f in made_again(plan) for s in (create_view(f) if isinstance(f, View) else create_function(f))),
        *replace_defaults(plan),
        *replace_triggers(plan),
        *reset_functions(plan),
        *replace_policies(plan),
    ]


def _old_grants(plan: Plan, t: SwappedTable) -> list[Statement]:
    table = plan.table_of(t)
    return [*grants(t.name, table.grants, table.owner), *partition_grants(plan, t)]


def _exchange_names(t: SwappedTable) -> list[Statement]:
    """The table gets its retired name, its indexes theirs, and the shadow the application's name."""
    return [
        rename_table(t.name, t.retired),
        *(rename_index(t.name.schema, r.before, r.after) for r in t.retired_indexes),
        rename_table(t.shadow, t.name),
    ]


def live_objects(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Create what swap keeps on a live table from the first exchange on: capture, guards, compat triggers, fence."""
    return [
        *capture(plan, t, direction),
        *swapped_guards(plan, t, direction),
        *(compat_triggers(plan, direction, source=True) if t.is_source else ()),
        fence_trigger(plan, t),
    ]


def _exchanged_objects(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Those that an exchange moves. The triggers of rows of a partitioned source stand on both sides (swap.ddl.partition_triggers)."""
    if t.partitioned:
        return [truncate_trigger(plan, t, t.name), fence_trigger(plan, t)]
    return live_objects(plan, t, direction)


def not_valid_checks(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Add again, NOT VALID, the CHECK constraints that were never validated: no copied row was checked against them."""
    alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
    out = []
    for c in (c for c in plan.table_of(t).checks if not c.validated):
        name = sql.Identifier(c.name)
        add = alter.format(t.name.sql, verbatim("ADD"), name) + verbatim(f" {c.definition} NOT VALID")
        if c.comment:
            add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, t.name.sql, sql.Literal(c.comment))
        drop = alter.format(t.name.sql, verbatim("DROP"), name)
        label = part(t.name, c.name)
        why = "a check that was never validated"
        out.append(
            Statement(add, why, t.name, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label, path=c.meaning.path)
        )
    return out


def lock_statements(plan: Plan, kind: str) -> list[Query]:
    """Lock the views, then every table involved, in a fixed order.

    Views come first, topmost first: a reader locks its view before the tables under it. LOCK TABLE on a view would lock every
    table under it as well, and it refuses a materialized view. ALTER … OWNER TO the owner that the view has takes the same
    lock on the view alone, and changes nothing.

    The source comes next. Applications reach its children through it, in the same transaction, far more often than the other
    way round. A lock order that opposes theirs is refused again and again (seen under load: seconds of attempts with the
    source last, well under one second with it first).

    Sequences come last, without a wait: a session that has taken a value, and not its table yet, is about to ask for it. While this
    waited for the sequence, the two would wait for each other (H62).
    """
    views = [
        sql.SQL("ALTER {} {} OWNER TO {}").format(verbatim(WORDS[v.kind]), v.name.sql, sql.Identifier(v.owner))
        for v in reversed(plan.catalog.views)
    ]
    others = [t.sql for t in plan.locked_tables if t != plan.source]
    maintained = [(t.shadow if kind == "cutover" else t.retired).sql for t in plan.swapped]
    names = sql.SQL(", ").join([plan.source.sql, *others, *maintained])
    return [*views, sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names), *lock_sequences(plan)]


def steady_partitions(plan: Plan, kind: str) -> Query | None:
    """The lock under which the structure of a partitioned source's partitions is compared, before the locks of `lock_statements` are asked
    for: no other session changes a partition, and reads and writes go on. Of two hundred partitions the comparison alone takes longer
    than the exchange. None where no table is partitioned."""
    tables = [n.sql for t in plan.swapped if t.partitioned for n in (t.name, t.shadow if kind == "cutover" else t.retired)]
    return sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(sql.SQL(", ").join(tables)) if tables else None


def opening_statements(plan: Plan, after: Direction, table_no: int, generation: int) -> list[Statement]:
    """Make the functions of the direction `after` as exchange number `generation` needs them. They run before the locks are asked
    for: no trigger calls these functions yet. The fence is such a function until the first exchange. Those of a partitioned source
    are called all the time, and change under the locks."""
    whole = [t for t in plan.swapped if not t.partitioned]
    functions = [s for t in whole for s in functions_of_table(plan, t, after, table_no)]
    return [*functions, *(fence_function(plan, t, generation) for t in whole if generation == 1)]


def closing_statements(plan: Plan, after: Direction, table_no: int, generation: int) -> list[Statement]:
    """Change the fence and the resolvers in the state schema, in the same script."""
    fence = sql.SQL("UPDATE {} SET generation = {} WHERE tag = {}").format(
        sql.Identifier(plan.state_schema, "fence"), sql.Literal(generation), sql.Literal(plan.tag)
    )
    return [
        *turned_functions(plan, after, table_no),
        *(fence_function(plan, t, generation) for t in plan.swapped if generation > 1 or t.partitioned),
        *resolver_functions(plan, after),
        *carry_waiting(plan, after),
        *queue_waiting(plan, after),
        Statement(fence, "snapshots of before the exchange are told to retry", kind=Kind.CAPTURE),
    ]
