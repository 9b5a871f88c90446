"""THE list of what runs, phase by phase, in order. `plan`, every dry run, the trial and the real run read this list.

A phase is a list of tasks. A task is data: what is done, and the statements that do it. `prepare` and `sync` perform a
task (swap.prepare.run, swap.sync.build), `plan` prints its statements, and the trial runs them on empty copies. The names
of tasks are the names of their journal rows.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement, Step, undo_all
from swap.ddl import capture, change_tables, fence, guards, shadow
from swap.ddl.backfill import block_range, copy_rows, drop_queued, fill_compat, fill_identity, fill_reference, key_range
from swap.ddl.columns import add_compat_column, add_identity, add_reference_column
from swap.ddl.compat import compat_functions, reference_triggers
from swap.ddl.exact_reads import drop_trap, set_trap
from swap.ddl.exchange import closing_statements, exchange, lock_statements, opening_statements
from swap.ddl.foreign_keys import validations
from swap.ddl.functions import plan_again
from swap.ddl.indexes import (
    attach_indexes,
    constraint_statements,
    index_attributes,
    publishable,
    reference_indexes,
    shadow_constraints,
    shadow_indexes,
)
from swap.ddl.key_mapping import create_mapping, resolver_functions
from swap.ddl.keys import create_uuidv7
from swap.ddl.not_null import either_name, identity_not_null, key_checks, pending_not_null
from swap.ddl.partition_triggers import live_partition_triggers, partition_triggers, standing_triggers, turned_functions
from swap.ddl.partitioned import heap_indexes, index_names, joined_indexes
from swap.ddl.replication import SLOT, create_publication, create_slot, publish
from swap.ddl.statistics import statistics_of
from swap.ddl.tasks import (
    BuildIndexes,
    CopyRows,
    Drain,
    DropQueued,
    FillCompat,
    FillIdentity,
    FillReference,
    Maintain,
    Task,
    statements_of,
)
from swap.ddl.teardown import abort_steps, finalize_steps
from swap.plan.direction import Direction, forward
from swap.plan.model import Plan, ReferencePlan, SwappedTable

LOW, HIGH = sql.SQL(":low"), sql.SQL(":high")


def trigger_functions(plan: Plan, *, guarded: bool = True) -> list[Statement]:
    """Create every trigger function of both directions, as it is before the first exchange. `guarded`: those of the references'
    guards too."""
    functions = [*capture.truncate_functions(plan), *fence.fence_functions(plan, None)]
    for way in Direction:
        functions += capture.capture_functions(plan, way, 0)
        if way is Direction.REVERSE or not plan.derived:
            functions.append(guards.source_guard_function(plan, way))
        for ref in plan.references if guarded else ():
            functions.append(guards.reference_guard_function(plan, ref.columns, way))
    for t in plan.swapped:
        for reference in t.references if guarded else ():
            functions.append(guards.reference_guard_function(plan, reference, Direction.REVERSE))
    return [*functions, *turned_functions(plan, Direction.FORWARD, 0), *compat_functions(plan)]


def prepare_steps(plan: Plan) -> list[Step]:
    """The steps of `prepare`. At its end capture is live, and the shadows are empty."""
    steps = []
    rebuilt = plan.swapped[1:]
    if plan.identity_added:
        steps.append(Step("identity", tuple(add_identity(plan)), (plan.source,), AX))
    mapping = (*create_mapping(plan), *create_uuidv7(plan), *resolver_functions(plan, Direction.FORWARD))
    steps.append(Step("queue", (*change_tables.change_tables(plan), *mapping, *trigger_functions(plan))))
    logical = plan.mode == "logical"
    if logical:
        published = (s for t in plan.swapped for s in publish(plan, t, Direction.FORWARD))
        steps.append(Step("publication", (create_publication(plan), *published)))
        steps.append(Step(SLOT, (create_slot(plan),)))
    # Logical mode needs the lock of this step too. Transactions that committed before the slot's beginning are not
    # streamed. Under the lock each of them is not only committed but visible, so the copy sees its rows (H9).
    # The source comes last: from then on capture is live on every table. The queue begins with the first one (swap.prepare.run).
    for t in (*rebuilt, plan.swapped[0]):
        live = [
            *([] if logical else capture.capture_triggers(plan, t, Direction.FORWARD)),
            *guards.swapped_guards(plan, t, Direction.FORWARD),
            *live_partition_triggers(plan, t),
        ]
        name = "capture" if t.is_source else f"capture {t.name}"
        steps.append(Step(name, tuple(live), (t.name,), "SHARE ROW EXCLUSIVE"))
    for ref in plan.references:
        columns = [*add_reference_column(plan, ref), *add_compat_column(ref.columns)]
        kept = [
            *guards.reference_guards(plan, ref.columns, ref.table, Direction.FORWARD),
            *reference_triggers(plan, ref.columns, Direction.FORWARD),
        ]
        lock = AX if columns else "SHARE ROW EXCLUSIVE"
        steps.append(Step(f"reference {ref.columns.number}", (*columns, *kept), (ref.table,), lock))
    for t in plan.swapped:
        made = [*shadow.create_shadow(plan, t), *partition_triggers(plan, t, (p.shadow for p in t.partitions))]
        steps.append(Step("shadow" if t.is_source else f"shadow {t.name}", tuple(made)))
    return steps


def backfill_tasks(plan: Plan, *, concurrently: bool = True) -> list[Task]:
    """Complete the source's uuids where it has them, then copy the rows of the swapped tables."""
    tasks: list[Task] = []
    not_null = [] if plan.derived else identity_not_null(plan)
    if not_null:
        why = "per range of heap blocks: a uuid for each row without one"
        tasks.append(
            FillIdentity((Statement(fill_identity(plan, LOW, HIGH), why, plan.source, "ROW EXCLUSIVE", kind=Kind.ROWS),))
        )
    if plan.identity_index:
        tasks.append(BuildIndexes(None, (plan.identity_index,), (), concurrently))
    tasks += not_null
    return [*tasks, *(_copy(plan, t) for t in plan.swapped)]


def _copy(plan: Plan, t: SwappedTable) -> CopyRows:
    mapping = forward(plan, t)
    by_blocks = not mapping.integer_key
    what = "range of heap blocks" if by_blocks else "key range"
    where = block_range(LOW, HIGH) if by_blocks else key_range(mapping, LOW, HIGH)
    text = copy_rows(plan, mapping, where)
    statement = Statement(text, f"per {what}, sized by time; no row is locked", t.name, "ACCESS SHARE", kind=Kind.ROWS)
    return CopyRows(step_of("copied", t), t.number, by_blocks, (statement,))


def step_of(name: str, t: SwappedTable) -> str:
    """The journal's row of a step that every swapped table has. The source's has no table in it: so older runs go on."""
    return name if t.is_source else f"{name} {t.name}"


def build_tasks(plan: Plan) -> list[Task]:
    """Complete the filled shadows, in the order that keeps them right and fast.

    The unique index on the key comes first, for replay. Then come a drain that ends in one snapshot, and VACUUM. Then every
    other index, with replay paused: uniqueness holds because the application's tables satisfied it in that snapshot (H4).
    """
    done = "constraints"
    tasks: list[Task] = []
    for t in plan.swapped:
        mapping, key_index = forward(plan, t), step_of("key index", t)
        if not mapping.integer_key:
            text, why = drop_queued(plan, mapping), "a row that moved was copied twice or not at all"
            tasks.append(DropQueued(t.number, key_index, (Statement(text, why, t.shadow, "ROW EXCLUSIVE", kind=Kind.ROWS),)))
        built = heap_indexes(t, of_key=True) if t.partitioned else [t.key_index]
        whole = joined_indexes(t, of_key=True) if t.partitioned else []
        tasks.append(BuildIndexes(key_index, tuple(built), (*whole, *publishable(plan, t))))
    tasks.append(Drain(done))
    tasks += [Maintain((vacuum(t),), until=done) for t in plan.swapped]
    indexes = tuple(i for t in plan.swapped for i in shadow_indexes(plan, t))
    attributes = tuple(s for i in indexes for s in index_attributes(i))
    constraints = [s for t in plan.swapped for s in (*joined_indexes(t, of_key=False), *shadow_constraints(plan, t))]
    constraints += [s for t in plan.swapped if t.partitioned for s in standing_triggers(plan, t)]
    return [*tasks, BuildIndexes(None, indexes, attributes, parallel=True, until=done), Step(done, tuple(constraints))]


def reference_tasks(plan: Plan, *, concurrently: bool = True) -> list[Task]:
    """Take one reference after the other: fill it, index it beside its writers, then run its short DDL.

    Last come the shadow's statistics: a table without statistics is an outage.
    """
    tasks: list[Task] = []
    for ref in plan.references:
        for heap in plan.catalog.table(ref.table).heaps:
            fill = fill_reference(plan, ref, LOW, HIGH, heap.name)
            why = "per range of heap blocks: rows without their uuid"
            tasks.append(FillReference(ref, heap.name, (Statement(fill, why, heap.name, "ROW EXCLUSIVE", kind=Kind.ROWS),)))
        for heap in plan.catalog.table(ref.table).heaps if ref.columns.compat_column else ():
            fill = fill_compat(plan, ref, LOW, HIGH, heap.name)
            why = "per range of heap blocks: the uuid's second name"
            tasks.append(FillCompat(ref, heap.name, (Statement(fill, why, heap.name, "ROW EXCLUSIVE", kind=Kind.ROWS),)))
        indexes = tuple(reference_indexes(ref))
        attributes = tuple(s for i in indexes for s in index_attributes(i))
        tasks += [BuildIndexes(None, indexes, attributes, concurrently), *reference_steps(ref)]
        statistics = Step(f"statistics {ref.table}", tuple(statistics_of(plan, ref.table)))
        if statistics.statements and statistics not in tasks:  # once for a table, however many references it has
            tasks.append(statistics)
        tasks.append(Maintain((analyze(ref.table, "statistics of the uuid column"),), f"analyze {ref.columns.number}"))
    return [*tasks, Drain(), *(Maintain((analyze(t.shadow, "statistics"),)) for t in plan.swapped)]


def reference_steps(ref: ReferencePlan) -> list[Step]:
    """The short DDL after a reference's backfill: constraints that the exchange renames."""
    steps = []
    if attached := attach_indexes(ref):
        # ATTACH takes ACCESS EXCLUSIVE on the part's index, and writers of the partition hold that one too.
        lock = AX if any(s.lock == AX for s in attached) else "SHARE"
        steps.append(Step(f"partition indexes {ref.columns.number}", tuple(attached), (ref.table,), lock))
    for index in ref.indexes:
        if index.is_unique_constraint and not index.on_only:
            constraint = tuple(constraint_statements(index)[:1])
            steps.append(Step(f"constraint {index.build_name}", constraint, (ref.table,), AX))
    return steps


def vacuum(t: SwappedTable) -> Statement:
    """Set hint bits and the visibility map. Otherwise the index builds would look up the transaction of every row."""
    text = sql.SQL("VACUUM {}").format(t.shadow.sql)
    return Statement(text, "visibility map", t.shadow, "SHARE UPDATE EXCLUSIVE", transactional=False, kind=Kind.MAINTENANCE)


def analyze(table: TableName, why: str) -> Statement:
    """Collect statistics of columns and of expression indexes. The gates check those of the shadow only."""
    return Statement(sql.SQL("ANALYZE {}").format(table.sql), why, table, "SHARE UPDATE EXCLUSIVE", kind=Kind.MAINTENANCE)


def exchange_statements(plan: Plan, kind: str, table_no: int = 0, generation: int = 1, *, exact: bool = False) -> list[Statement]:
    """What comes right before the locks, the locks, and the script of a cutover or a revert. `exact`: with the trap for reads of older
    snapshots.

    Between the two last run the drain, the comparison, and the journal's rows.
    """
    ahead = kind == "cutover"
    script = exchange(plan) if ahead else undo_all(exchange(plan))
    locks = sql.SQL("; ").join(lock_statements(plan, kind))
    lock = Statement(locks, "everything involved, at once", plan.source, AX, kind=Kind.LOCK)
    after = Direction.REVERSE if ahead else Direction.FORWARD
    trap = set_trap(plan, raised=True) if exact else []
    opening = opening_statements(plan, after, table_no, generation)
    return [*opening, lock, *script, *closing_statements(plan, after, table_no, generation), plan_again(plan), *trap]


def before_exchange(plan: Plan, direction: Direction) -> list[Statement]:
    """The checks that a primary key in place rests on: added and validated right before the first attempt."""
    return [s for _, _, statements in key_checks(plan, direction) for s in statements]


def _not_null(plan: Plan) -> list[Statement]:
    """After a cutover."""
    pending = [
        (validate, set_)
        for ref, name, validate, set_ in pending_not_null(plan)
        if (name == either_name(ref) if ref.columns.companion else set_ is None or name == ref.check_name)
    ]
    return [s for both in pending for s in both if s is not None]


def _followed(plan: Plan, after: Direction) -> list[Statement]:
    """The names that follow an exchange to that direction."""
    return [n.statement for t in plan.swapped if t.partitioned for n in index_names(t, after)]


def phases(
    plan: Plan, *, exact: bool = False, turn: tuple[int, int] = (0, 1), direction: Direction = Direction.FORWARD
) -> list[tuple[str, list[Statement]]]:
    """Every statement that will run or may run, phase by phase. `exact`: where reads across an exchange are. `turn`, `direction`: the
    change table in use, the number of the next exchange, and where the run is; as given, those of one that has not begun."""
    released = drop_trap(plan) if exact else []
    table_no, number = turn
    cutover, revert = (number, number + 1) if direction is Direction.FORWARD else (number + 1, number)
    return [
        ("prepare", [*statements_of(prepare_steps(plan))]),
        ("backfill", [*statements_of(backfill_tasks(plan))]),
        ("build", [*statements_of(build_tasks(plan))]),
        ("references", [*statements_of(reference_tasks(plan))]),
        (
            "cutover",
            [*before_exchange(plan, Direction.FORWARD), *exchange_statements(plan, "cutover", table_no, cutover, exact=exact)],
        ),
        ("validate", [*_followed(plan, Direction.REVERSE), *_not_null(plan), *validations(plan), *released]),
        (
            "revert",
            [
                *before_exchange(plan, Direction.REVERSE),
                *exchange_statements(plan, "revert", table_no, revert, exact=exact),
                *_followed(plan, Direction.FORWARD),
            ],
        ),
        ("finalize", [*statements_of(finalize_steps(plan, drop_legacy=False))]),
        ("abort", [*statements_of(abort_steps(plan))]),
    ]
