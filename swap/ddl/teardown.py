"""The steps of `abort` and `finalize`: they remove what swap added.

Each step can be repeated, so a command that was killed is run again. Between two of them the application works as before and after:
what takes a trigger or a default away puts its successor in place in the same step (H64). `finalize` begins with the retired table,
the one thing that another session may hold for long, and after whose end nothing else can go wrong for it.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.statement import AX, Kind, Statement, Step, Verb, undo_all
from swap.ddl.capture import capture_function_names
from swap.ddl.change_tables import change_table, waiting_table
from swap.ddl.columns import add_compat_column
from swap.ddl.compat import compat_function_names, drop_compat, reference_triggers
from swap.ddl.defaults import drop_default_functions
from swap.ddl.exchange import live_objects
from swap.ddl.guards import reference_guard_function, reference_guards, swapped_guards
from swap.ddl.indexes import reference_indexes
from swap.ddl.key_mapping import drop_mapping, drop_resolvers
from swap.ddl.keys import drop_spare_sequence, drop_uuidv7
from swap.ddl.pairs import pairs_table
from swap.ddl.partition_triggers import live_partition_triggers
from swap.ddl.replication import SLOT, drop_publication, drop_slot, publish
from swap.ddl.set_aside import drop_set_aside
from swap.ddl.statistics import drop_statistics
from swap.plan.direction import Direction
from swap.plan.model import Plan, ReferencePlan, SwappedTable

RETIRED = "the retired tables"
"""The name of the step that a revert does not survive. It runs without its tables, too, if another session has dropped them."""


def _triggers_off(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    published = publish(plan, t, direction)[-1:]
    live = [*live_objects(plan, t, direction), *live_partition_triggers(plan, t)]
    return [s.reversed() for s in reversed(live) if s not in published]


def _drop_functions(plan: Plan, names: list[str]) -> list[Statement]:
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}()")
    return [
        Statement(drop.format(plan.state(n).sql), "nothing calls it any more", kind=Kind.CAPTURE, verb=Verb.DROP) for n in names
    ]


def _drop_queue(plan: Plan) -> list[Statement]:
    drop = sql.SQL("DROP TABLE IF EXISTS {}")
    queue = [change_table(plan, n, t.number) for t in plan.swapped for n in (0, 1)]
    named = [*((n, "the queue of changed keys") for n in queue)]
    named += [(n, "rows that wait for a parent") for n in (waiting_table(plan), pairs_table(plan))]
    return [Statement(drop.format(n.sql), why, n, AX, kind=Kind.CAPTURE, verb=Verb.DROP) for n, why in named]


def _guard_names(plan: Plan) -> list[str]:
    return [f"guard_{d}" for d in Direction] + [
        f"{kind}_{r.number}_{d}" for r in plan.all_references for d in Direction for kind in ("guard", "complete")
    ]


def _drop_check(ref: ReferencePlan) -> list[Statement]:
    if not ref.columns.not_null:
        return []
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(ref.table.sql, sql.Identifier(ref.check_name))
    return [Statement(drop, "the helper check", ref.table, AX, kind=Kind.CONSTRAINT, verb=Verb.DROP)]


def abort_steps(plan: Plan) -> list[Step]:
    """Remove everything that `prepare` and `sync` added. Source and references are as they were."""
    steps = [Step(f"what was added to {r.table}", tuple(_restore_reference(plan, r)), (r.table,), AX) for r in plan.references]
    steps.append(Step(f"what was added to {plan.source}", tuple(_restore_source(plan)), (plan.source,), AX))
    for t in plan.swapped[1:]:
        steps.append(Step(f"capture of {t.name}", tuple(_triggers_off(plan, t, Direction.FORWARD)), (t.name,), AX))
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    names = [*capture_function_names(plan), *_guard_names(plan), *compat_function_names(plan)]
    steps += [_drop_shadow(t) for t in plan.swapped]
    gone = (*_drop_functions(plan, names), *drop_resolvers(plan), *drop_spare_sequence(plan), *drop_uuidv7(plan))
    return [*steps, *_queue_steps(plan), Step("functions", gone)]


def _queue_steps(plan: Plan) -> list[Step]:
    """One for each table of the queue: a dump may hold it for long, so it is locked like any other table."""
    return [Step(f"the queue ({s.table})", (s,), (s.table,), AX) for s in _drop_queue(plan) if s.table is not None]


def _drop_shadow(t: SwappedTable) -> Step:
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(t.shadow.sql)
    gone = Statement(drop, "the shadow table", t.shadow, AX, kind=Kind.TABLE, verb=Verb.DROP)
    return Step(f"the shadow {t.shadow}", (gone,), (t.shadow,), AX)


def _drop_retired(plan: Plan) -> Step:
    """All in one statement: a policy of one retired table may read another, in both directions."""
    tables = tuple(t.retired for t in plan.swapped)
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(sql.SQL(", ").join(t.sql for t in tables))
    why = "the retired table" if len(tables) == 1 else "the retired tables: a policy of one may read another"
    gone = Statement(drop, why, plan.retired, AX, kind=Kind.TABLE, verb=Verb.DROP)
    return Step(RETIRED, (*drop_set_aside(plan), gone), tables, AX)


def _restore_source(plan: Plan) -> list[Statement]:
    publication = [drop_publication(plan)] if plan.mode == "logical" else []
    out = [*publication, *_triggers_off(plan, plan.swapped[0], Direction.FORWARD)]
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    column = sql.Identifier(plan.identity)
    if plan.identity_added:
        drop = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
        return [*out, Statement(drop, "as before", plan.source, AX, kind=Kind.COLUMN, verb=Verb.DROP)]
    if plan.identity_index:
        drop = sql.SQL("DROP INDEX IF EXISTS {}").format(plan.source.renamed(plan.identity_index.build_name).sql)
        out.append(Statement(drop, "as before", plan.source, AX, kind=Kind.INDEX, verb=Verb.DROP))
    existing = plan.source_table.column(plan.identity)
    if existing is not None and not existing.not_null:
        check = sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(sql.Identifier(f"swap_{plan.tag}_identity_present"))
        drop = alter + sql.SQL("ALTER COLUMN {} DROP NOT NULL, ").format(column) + check
        out.append(Statement(drop, "as before", plan.source, AX, kind=Kind.NOT_NULL, verb=Verb.DROP))
    return out


def _restore_reference(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    kept = [
        *add_compat_column(ref.columns),
        *reference_triggers(plan, ref.columns, Direction.FORWARD),
        *reference_guards(plan, ref.columns, ref.table, Direction.FORWARD),
    ]
    statistics = (drop_statistics(x) for x in plan.catalog.statistics if x.table == ref.table)
    return [*undo_all(kept), *statistics, *_drop_check(ref), *_drop_indexes(ref), *_drop_uuid_column(ref)]


def _drop_indexes(ref: ReferencePlan) -> list[Statement]:
    out = []
    for i in (*ref.indexes, *ref.parts):
        if i.is_unique_constraint:
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(i.table.sql, sql.Identifier(i.build_name))
            out.append(Statement(drop, "the prepared constraint", ref.table, AX, kind=Kind.CONSTRAINT, verb=Verb.DROP))
    above = [
        i for i in (*ref.indexes, *ref.parts, *ref.compat_indexes) if i.on_only
    ]  # dropping it drops the parts that are attached to it
    for i in (*above, *reference_indexes(ref)):
        drop = sql.SQL("DROP INDEX IF EXISTS {}").format(i.table.renamed(i.build_name).sql)
        out.append(Statement(drop, "a prepared index", ref.table, AX, kind=Kind.INDEX, verb=Verb.DROP))
    return out


def _drop_uuid_column(ref: ReferencePlan) -> list[Statement]:
    if ref.columns.adopted:
        return []
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(ref.table.sql, sql.Identifier(ref.columns.uuid_column))
    return [Statement(drop, "the uuid column that `prepare` added", ref.table, AX, kind=Kind.COLUMN, verb=Verb.DROP)]


def finalize_steps(plan: Plan, *, drop_legacy: bool, compat: bool = True) -> list[Step]:
    """Turn capture off and drop the retired table; with `drop_legacy` drop the guards and the integer columns too.

    `compat` False: the compat columns went in an earlier `finalize`, and a column of that name is the application's now.
    """
    second_names = dict(drop_compat(plan)) if compat else {}
    steps = [_drop_retired(plan)]
    for t in plan.swapped:
        guards = [g.reversed() for g in swapped_guards(plan, t, Direction.REVERSE)]
        mine = second_names.pop(t.name, [])  # with the trigger that gives the key goes the default that takes its place
        off = [s for s in _triggers_off(plan, t, Direction.REVERSE) if s not in (*guards, *mine)]
        if t.is_source and plan.mode == "logical":
            off.insert(0, drop_publication(plan))
        what = "capture and the second names" if mine else "capture"
        steps.append(Step(f"{what} of {t.name}", (*off, *mine), (t.name,), AX))
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    noted_no_more = (reference_guard_function(plan, r, Direction.REVERSE, noted=False) for r in plan.all_references)
    steps.append(Step("what fills references later", tuple(noted_no_more)))
    steps += _queue_steps(plan)
    steps.append(Step("functions of capture", tuple(_drop_functions(plan, [*capture_function_names(plan), "guard_forward"]))))
    steps += [Step(f"the second names of {table}", tuple(gone), (table,), AX) for table, gone in second_names.items()]
    steps += [
        Step(f"the check of {r.table}", tuple(_drop_check(r)), (r.table,), AX) for r in plan.references if r.columns.not_null
    ]
    if functions := _drop_functions(plan, compat_function_names(plan)):
        steps.append(Step("functions of second names", tuple(functions)))
    return [*steps, *_drop_legacy(plan)] if drop_legacy else steps


def _drop_legacy(plan: Plan) -> list[Step]:
    """Drop the integer columns, and with each the guards that fill it."""
    steps = []
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}")
    for ref in plan.references:
        guards = [s.reversed() for s in reference_guards(plan, ref.columns, ref.table, Direction.REVERSE)]
        if ref.columns.companion:  # it holds the keys of other types: they exist nowhere else
            steps.append(Step(f"the guard of {ref.table}.{ref.columns.column}", tuple(guards), (ref.table,), AX))
            continue
        column = drop.format(ref.table.sql, sql.Identifier(ref.columns.legacy_column))
        gone = Statement(column, "the integer reference", ref.table, AX, kind=Kind.COLUMN, verb=Verb.DROP)
        steps.append(Step(f"{ref.table}.{ref.columns.legacy_column}", (*guards, gone), (ref.table,), AX))
    for t in reversed(plan.swapped):
        own = [g.reversed() for g in swapped_guards(plan, t, Direction.REVERSE)]
        key = (plan.legacy_key,) if t.is_source else ()
        for name in (*key, *(r.legacy_column for r in t.references)):
            column = drop.format(t.name.sql, sql.Identifier(name))
            own.append(Statement(column, "the integer key", t.name, AX, kind=Kind.COLUMN, verb=Verb.DROP))
        steps.append(Step(f"the integers of {t.name}", tuple(own), (t.name,), AX))
    rest = (*_drop_functions(plan, _guard_names(plan)), *drop_spare_sequence(plan), *drop_mapping(plan))
    steps.append(Step("functions of guards", (*drop_default_functions(plan), *rest)))
    return steps
