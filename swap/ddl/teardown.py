"""The steps of `abort` and `finalize`: they remove what swap added.

Each step can be repeated, so a command that was killed is run again. Between two of them the application works as before and after:
what takes a trigger or a default away puts its successor in place in the same step (H64). `finalize` begins with the retired table,
the one thing that another session may hold for long, and after whose end nothing else can go wrong for it.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.statement import AX, Kind, Statement, Step, Verb, undo_all
from swap.ddl.change_tables import change_table
from swap.ddl.columns import add_compat_column
from swap.ddl.compat import compat_function_names, drop_compat, reference_triggers
from swap.ddl.exchange import live_objects
from swap.ddl.guards import reference_guards, source_guards
from swap.ddl.indexes import reference_indexes
from swap.ddl.keys import drop_spare_sequence
from swap.ddl.replication import SLOT, drop_publication, drop_slot, publish
from swap.ddl.set_aside import drop_set_aside
from swap.ddl.statistics import drop_statistics
from swap.plan.direction import Direction
from swap.plan.model import Plan, ReferencePlan

RETIRED = "the retired table"
"""The name of the step that a revert does not survive. It runs without its table, too, if another session has dropped that."""
CAPTURES = ("capture_forward", "gone_forward", "capture_reverse", "gone_reverse", "truncate", "fence")


def _drop_triggers(plan: Plan, direction: Direction) -> list[Statement]:
    """Drop what swap keeps on the live table. Repeatable, because the publication is dropped as a whole."""
    published = publish(plan, plan.source, direction)[-1:]
    off = [s.reversed() for s in reversed(live_objects(plan, plan.source, direction)) if s not in published]
    return [*([drop_publication(plan)] if plan.mode == "logical" else []), *off]


def _drop_functions(plan: Plan, names: list[str]) -> list[Statement]:
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}()")
    return [
        Statement(drop.format(plan.state(n).sql), "nothing calls it any more", kind=Kind.CAPTURE, verb=Verb.DROP) for n in names
    ]


def _drop_queue(plan: Plan) -> list[Statement]:
    drop = sql.SQL("DROP TABLE IF EXISTS {}")
    return [
        Statement(drop.format(change_table(plan, n).sql), "the queue of changed keys", kind=Kind.CAPTURE, verb=Verb.DROP)
        for n in (0, 1)
    ]


def _guard_names(plan: Plan) -> list[str]:
    refs = [*(r.columns for r in plan.references), *plan.own_references]
    return [f"guard_{d}" for d in Direction] + [
        f"{kind}_{r.number}_{d}" for r in refs for d in Direction for kind in ("guard", "complete")
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
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(plan.shadow.sql)
    shadow = Statement(drop, "the shadow", plan.shadow, AX, kind=Kind.TABLE, verb=Verb.DROP)
    names = [*CAPTURES, *_guard_names(plan), *compat_function_names(plan)]
    steps.append(Step("the shadow", (shadow,), (plan.shadow,), AX))
    return [*steps, *_queue_steps(plan), Step("functions", (*_drop_functions(plan, names), *drop_spare_sequence(plan)))]


def _queue_steps(plan: Plan) -> list[Step]:
    """One for each change table: a dump may hold it for long, so it is locked like any other table."""
    drops = zip((change_table(plan, n) for n in (0, 1)), _drop_queue(plan), strict=True)
    return [Step(f"the change table {table}", (drop,), (table,), AX) for table, drop in drops]


def _restore_source(plan: Plan) -> list[Statement]:
    out = _drop_triggers(plan, Direction.FORWARD)
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
    above = [i for i in (*ref.indexes, *ref.parts) if i.on_only]  # dropping it drops the parts that are attached to it
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
    guards = [s.reversed() for s in source_guards(plan, plan.source, Direction.REVERSE)]
    second_names = dict(drop_compat(plan)) if compat else {}
    of_source = second_names.pop(plan.source, [])  # with the trigger that gives the key goes the default that takes its place
    off = [s for s in _drop_triggers(plan, Direction.REVERSE) if s not in (*guards, *of_source)]
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(plan.retired.sql)
    retired = Statement(drop, "the retired table", plan.retired, AX, kind=Kind.TABLE, verb=Verb.DROP)
    steps = [Step(RETIRED, (*drop_set_aside(plan), retired), (plan.retired,), AX)]
    what = "capture and the second names" if of_source else "capture"
    steps.append(Step(f"{what} of {plan.source}", (*off, *of_source), (plan.source,), AX))
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    steps += _queue_steps(plan)
    steps.append(Step("functions of capture", tuple(_drop_functions(plan, [*CAPTURES, "guard_forward"]))))
    steps += [Step(f"the second names of {table}", tuple(gone), (table,), AX) for table, gone in second_names.items()]
    steps += [
        Step(f"the check of {r.table}", tuple(_drop_check(r)), (r.table,), AX) for r in plan.references if r.columns.not_null
    ]
    if functions := _drop_functions(plan, compat_function_names(plan)):
        steps.append(Step("functions of second names", tuple(functions)))
    return [*steps, *_drop_legacy(plan, guards)] if drop_legacy else steps


def _drop_legacy(plan: Plan, guards_off: list[Statement]) -> list[Step]:
    """Drop the integer columns, and with each the guards that fill it."""
    steps = []
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}")
    for ref in plan.references:
        guards = [s.reversed() for s in reference_guards(plan, ref.columns, ref.table, Direction.REVERSE)]
        column = drop.format(ref.table.sql, sql.Identifier(ref.columns.legacy_column))
        gone = Statement(column, "the integer reference", ref.table, AX, kind=Kind.COLUMN, verb=Verb.DROP)
        steps.append(Step(f"{ref.table}.{ref.columns.legacy_column}", (*guards, gone), (ref.table,), AX))
    own = [*guards_off]
    for name in (plan.legacy_key, *(r.legacy_column for r in plan.own_references)):
        column = drop.format(plan.source.sql, sql.Identifier(name))
        own.append(Statement(column, "the integer key", plan.source, AX, kind=Kind.COLUMN, verb=Verb.DROP))
    steps.append(Step(f"the integers of {plan.source}", tuple(own), (plan.source,), AX))
    steps.append(Step("functions of guards", (*_drop_functions(plan, _guard_names(plan)), *drop_spare_sequence(plan))))
    return steps
