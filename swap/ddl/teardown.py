"""What `abort` and `finalize` remove, as steps. Each step can be repeated, so a command that was killed is run again."""

from __future__ import annotations

from psycopg import sql

from swap.core.statement import AX, Kind, Statement, Step, Verb
from swap.ddl.change_tables import change_table
from swap.ddl.columns import add_compat_column
from swap.ddl.compat import drop_compat, function_names, reference_triggers
from swap.ddl.exchange import live_objects
from swap.ddl.guards import reference_guards, source_guards
from swap.ddl.indexes import reference_indexes
from swap.ddl.keys import drop_spare_sequence
from swap.ddl.replication import SLOT, drop_publication, drop_slot, publish
from swap.ddl.set_aside import drop_aside
from swap.ddl.statistics import drop_statistics
from swap.plan.direction import Direction
from swap.plan.model import Plan, ReferencePlan

CAPTURES = ("capture_forward", "gone_forward", "capture_reverse", "gone_reverse", "truncate", "fence")


def _drop_triggers(plan: Plan, direction: Direction) -> list[Statement]:
    """Repeatable: the publication goes as a whole."""
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
    """Everything `prepare` and `sync` added, away again; source and references as they were."""
    steps = []
    for ref in plan.references:
        guards = [s.reversed() for s in reversed(reference_guards(plan, ref.columns, ref.table, Direction.FORWARD))]
        compat = [
            s.reversed() for s in (*add_compat_column(ref.columns), *reference_triggers(plan, ref.columns, Direction.FORWARD))
        ]
        statistics = [drop_statistics(x) for x in plan.catalog.statistics if x.table == ref.table]
        steps.append(
            Step(f"reference {ref.table}", (*guards, *reversed(compat), *statistics, *_drop_reference(ref)), (ref.table,), AX)
        )
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    column = sql.Identifier(plan.identity)
    own: list[Statement] = _drop_triggers(plan, Direction.FORWARD)
    existing = plan.source_table.column(plan.identity)
    if plan.identity_added:
        own.append(
            Statement(
                alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column),
                "as before",
                plan.source,
                AX,
                kind=Kind.COLUMN,
                verb=Verb.DROP,
            )
        )
    else:
        if plan.identity_index:
            name = plan.source.renamed(plan.identity_index.build_name)
            own.append(
                Statement(
                    sql.SQL("DROP INDEX IF EXISTS {}").format(name.sql),
                    "as before",
                    plan.source,
                    AX,
                    kind=Kind.INDEX,
                    verb=Verb.DROP,
                )
            )
        if existing is not None and not existing.not_null:
            check = sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(sql.Identifier(f"swap_{plan.tag}_identity_present"))
            drop = alter + sql.SQL("ALTER COLUMN {} DROP NOT NULL, ").format(column) + check
            own.append(Statement(drop, "as before", plan.source, AX, kind=Kind.NOT_NULL, verb=Verb.DROP))
    steps.append(Step("source", tuple(own), (plan.source,), AX))
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    shadow = Statement(
        sql.SQL("DROP TABLE IF EXISTS {}").format(plan.shadow.sql), "the shadow", plan.shadow, AX, kind=Kind.TABLE, verb=Verb.DROP
    )
    names = [*CAPTURES, *_guard_names(plan), *function_names(plan)]
    steps.append(Step("shadow", (shadow,), (plan.shadow,), AX))
    steps.append(Step("objects", (*_drop_queue(plan), *_drop_functions(plan, names), *drop_spare_sequence(plan))))
    return steps


def _drop_reference(ref: ReferencePlan) -> list[Statement]:
    alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
    out = _drop_check(ref)
    for i in (*ref.indexes, *ref.parts):
        if i.is_unique_constraint:
            drop = sql.SQL("ALTER TABLE {} ").format(i.table.sql) + sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(
                sql.Identifier(i.build_name)
            )
            out.append(Statement(drop, "the prepared constraint", ref.table, AX, kind=Kind.CONSTRAINT, verb=Verb.DROP))
    above = [i for i in (*ref.indexes, *ref.parts) if i.on_only]  # takes its parts along, as far as they are attached
    for i in (*above, *reference_indexes(ref)):
        name = i.table.renamed(i.build_name)
        out.append(
            Statement(
                sql.SQL("DROP INDEX IF EXISTS {}").format(name.sql),
                "a prepared index",
                ref.table,
                AX,
                kind=Kind.INDEX,
                verb=Verb.DROP,
            )
        )
    if not ref.columns.adopted:
        drop = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(sql.Identifier(ref.columns.uuid_column))
        out.append(Statement(drop, "the uuid column that `prepare` added", ref.table, AX, kind=Kind.COLUMN, verb=Verb.DROP))
    return out


def finalize_steps(plan: Plan, *, drop_legacy: bool, second_names: bool = True) -> list[Step]:
    """Capture off and the retired table gone; with `drop_legacy` the guards and the integer columns too."""
    keep = source_guards(plan, plan.source, Direction.REVERSE)
    kept = [s.reversed() for s in keep]
    off = [s for s in _drop_triggers(plan, Direction.REVERSE) if s not in kept]
    steps = [Step("capture", tuple(off), (plan.source,), AX)]
    if plan.mode == "logical":
        steps.append(Step(SLOT, (drop_slot(plan),)))
    retired = Statement(
        sql.SQL("DROP TABLE IF EXISTS {}").format(plan.retired.sql),
        "the retired table",
        plan.retired,
        AX,
        kind=Kind.TABLE,
        verb=Verb.DROP,
    )
    functions = _drop_functions(plan, [*CAPTURES, "guard_forward"])
    second = _drop_functions(plan, function_names(plan))
    if kept := drop_aside(plan):
        steps.append(Step("kept views and functions", tuple(kept)))
    steps.append(Step("retired", (retired,), (plan.retired,), AX))
    steps.append(Step("queue", (*_drop_queue(plan), *functions)))
    steps += [Step(f"second names of {table}", tuple(gone), (table,), AX) for table, gone in drop_compat(plan) if second_names]
    steps += [Step(f"check {r.table}", tuple(_drop_check(r)), (r.table,), AX) for r in plan.references if r.columns.not_null]
    steps += [Step("functions of second names", tuple(second))] if second else []
    if not drop_legacy:
        return steps
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}")
    for ref in plan.references:
        guards = [s.reversed() for s in reference_guards(plan, ref.columns, ref.table, Direction.REVERSE)]
        column = drop.format(ref.table.sql, sql.Identifier(ref.columns.legacy_column))
        gone = Statement(column, "the integer reference", ref.table, AX, kind=Kind.COLUMN, verb=Verb.DROP)
        steps.append(Step(f"reference {ref.table}.{ref.columns.number}", (*guards, gone), (ref.table,), AX))
    columns = [plan.legacy_key, *(r.legacy_column for r in plan.own_references)]
    own = [s.reversed() for s in keep]
    own += [
        Statement(
            drop.format(plan.source.sql, sql.Identifier(c)), "the integer key", plan.source, AX, kind=Kind.COLUMN, verb=Verb.DROP
        )
        for c in columns
    ]
    steps.append(Step("legacy key", tuple(own), (plan.source,), AX))
    steps.append(Step("guards", (*_drop_functions(plan, _guard_names(plan)), *drop_spare_sequence(plan))))
    return steps
