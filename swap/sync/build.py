"""What follows the backfill, in the order that keeps it right and fast (DESIGN section 5).

1. the unique index on the integer key, 2. a drain that ends in one snapshot, and VACUUM, 3. every other index, in
parallel, with replay paused: uniqueness holds because the source satisfied it in that snapshot, 4. replay again, then
ANALYZE, because a table without statistics is an outage. On references: everything CONCURRENTLY.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from psycopg import sql

from swap.core.blockers import explained
from swap.core.connection import Connection, Database
from swap.core.lock_retries import LockBudget
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Statement
from swap.ddl.references import (
    analyze_reference,
    attach_indexes,
    create_index,
    index_attributes,
    not_null_check,
    reference_indexes,
)
from swap.ddl.statistics import create_statistics
from swap.plan.model import IndexPlan, Plan, ReferencePlan
from swap.prepare.run import Step, run_step
from swap.state.journal import Journal, Run

VALID = (
    "SELECT i.indisvalid AND i.indisready FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s"
)


def index_state(conn: Connection, name: TableName) -> bool | None:
    """True: valid; False: left behind invalid; None: missing."""
    row = conn.execute(VALID, [name.schema, name.name]).fetchone()
    return None if row is None else bool(row[0])


def ensure_index(conn: Connection, index: IndexPlan, *, concurrently: bool) -> None:
    """Build the index unless it is there; one left invalid by an interrupted build is dropped first (H38)."""
    name = index.table.renamed(index.build_name)
    state = index_state(conn, name)
    if not state:
        statement = create_index(index, concurrently=concurrently)
        if state is False:
            assert statement.undo is not None
            conn.execute(statement.undo)
        conn.execute(statement.sql)
    for attribute in index_attributes(index):
        conn.execute(attribute.sql)


def shadow_indexes(plan: Plan) -> list[IndexPlan]:
    """Every index of the shadow but the one on the integer key, largest work first."""
    size = {i.name: i.size_bytes for i in plan.source_table.indexes}
    return sorted(plan.indexes, key=lambda i: (-size.get(i.app_name or "", 0), i.build_name))


def constraint_statements(index: IndexPlan) -> list[Statement]:
    """The constraint that an index backs. An exclusion constraint is there already."""
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.build_name)
    out: list[Query] = []
    if index.constraint in ("p", "u") and not index.exclusion:
        kind = "PRIMARY KEY" if index.constraint == "p" else "UNIQUE"
        timing = " DEFERRABLE" if index.deferrable else ""
        timing += " INITIALLY DEFERRED" if index.deferred else ""
        out.append(
            alter + sql.SQL("ADD CONSTRAINT {} ").format(name) + verbatim(kind)
            + sql.SQL(" USING INDEX {}").format(name) + verbatim(timing)
        )  # fmt: skip
    if index.constraint and index.constraint_comment:
        comment = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
        out.append(comment.format(name, index.table.sql, sql.Literal(index.constraint_comment)))
    return [Statement(s, f"as on {index.app_name}", index.table, "ACCESS EXCLUSIVE") for s in out]


def shadow_marks(plan: Plan) -> list[Statement]:
    """The index that CLUSTER uses, and what identifies a row in the write-ahead log (H30)."""
    alter = sql.SQL("ALTER TABLE {} ").format(plan.shadow.sql)
    marks = [sql.SQL("CLUSTER ON {}").format(sql.Identifier(i.build_name)) for i in plan.indexes if i.clustered]
    kind = plan.source_table.replident
    if kind in "fn":
        marks.append(sql.SQL("REPLICA IDENTITY FULL" if kind == "f" else "REPLICA IDENTITY NOTHING").format())
    elif kind == "d" and publishable(plan):
        marks.append(sql.SQL("REPLICA IDENTITY DEFAULT").format())
    marks += [
        sql.SQL("REPLICA IDENTITY USING INDEX {}").format(sql.Identifier(i.build_name)) for i in plan.indexes if i.replident
    ]
    return [Statement(alter + m, "as on the source", plan.shadow, "ACCESS EXCLUSIVE") for m in marks]


def statistics_of(plan: Plan, table: TableName) -> list[Statement]:
    """Extended statistics that are built for the table, in time for its ANALYZE."""
    return [x for s in plan.catalog.statistics if s.table == table for x in create_statistics(plan, s)]


def shadow_constraints(plan: Plan) -> list[Statement]:
    """Everything that rests on the shadow's finished indexes."""
    comment = sql.SQL("COMMENT ON INDEX {} IS {}")
    comments = [
        Statement(
            comment.format(sql.Identifier(i.table.schema, i.build_name), sql.Literal(i.comment)), f"as on {i.app_name}",
            i.table, "SHARE UPDATE EXCLUSIVE",
        )
        for i in plan.indexes
        if i.comment
    ]  # fmt: skip
    return [
        *(s for i in plan.indexes for s in constraint_statements(i)),
        *comments,
        *shadow_marks(plan),
        *statistics_of(plan, plan.source),
    ]


def publishable(plan: Plan) -> list[Statement]:
    """A publication of all tables or of the schema has the shadow in it already, where an UPDATE of a table without
    replica identity fails (H17): until there is a primary key, the integer key's index serves."""
    if all(p.kind == "table" for p in plan.source_table.publications):
        return []
    identity = sql.SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}")
    return [
        Statement(
            identity.format(plan.shadow.sql, sql.Identifier(plan.key_index.build_name)),
            "replay may update what is published", plan.shadow, "ACCESS EXCLUSIVE",
        )
    ]  # fmt: skip


def build_key_index(database: Database, conn: Connection, journal: Journal, run: Run, report: Reporter) -> None:
    if not journal.step_done(run.id, "key index"):
        report.note("index on the integer key")
        with explained(database, conn, "the index on the integer key", report):
            ensure_index(conn, run.plan.key_index, concurrently=False)
        for statement in publishable(run.plan):
            conn.execute(statement.sql)
        journal.mark_step(run.id, "key index")


def build_shadow_indexes(
    database: Database, conn: Connection, journal: Journal, run: Run, jobs: int, report: Reporter,
    stopped: Callable[[], None],
) -> None:  # fmt: skip
    """CREATE INDEX on the shadow by `jobs` sessions; SHARE on the shadow only, which no one else uses."""
    plan = run.plan
    missing = [i for i in shadow_indexes(plan) if not journal.step_done(run.id, f"index {i.build_name}")]
    total, done = len(plan.indexes), len(plan.indexes) - len(missing)
    report.progress("indexes", done, total, "indexes")

    def one(index: IndexPlan) -> None:
        nonlocal done
        stopped()
        with database.session(f"index {index.build_name}") as own:
            with explained(database, own, f"CREATE INDEX {index.build_name}", report):
                ensure_index(own, index, concurrently=False)
            Journal(own, plan.state_schema).mark_step(run.id, f"index {index.build_name}")
        done += 1
        report.progress("indexes", done, total, "indexes")

    with ThreadPoolExecutor(jobs, thread_name_prefix="index") as pool:
        for future in [pool.submit(one, i) for i in missing]:
            future.result()
    step = Step("constraints", tuple(shadow_constraints(plan)))
    if not journal.step_done(run.id, step.name):
        with conn.transaction():
            for statement in step.statements:
                conn.execute(statement.sql)
            journal.mark_step(run.id, step.name)


def vacuum(plan: Plan) -> Statement:
    """Hint bits and the visibility map, before the index builds have to look every row's transaction up."""
    return Statement(
        sql.SQL("VACUUM {}").format(plan.shadow.sql), "visibility map", plan.shadow, "SHARE UPDATE EXCLUSIVE", transactional=False
    )


def analyze(plan: Plan) -> Statement:
    """Statistics of columns and of expression indexes, before any gate can open."""
    return Statement(sql.SQL("ANALYZE {}").format(plan.shadow.sql), "statistics", plan.shadow, "SHARE UPDATE EXCLUSIVE")


def reference_steps(ref: ReferencePlan) -> list[Step]:
    """The short DDL after a reference's backfill: unique constraints that exchange names at the cutover, NOT NULL check."""
    steps = []
    if attached := attach_indexes(ref):
        # Attaching takes ACCESS EXCLUSIVE on the part, and writers of the partition hold it as an index of theirs.
        lock = "ACCESS EXCLUSIVE" if any(s.lock == "ACCESS EXCLUSIVE" for s in attached) else "SHARE"
        steps.append(Step(f"partition indexes {ref.columns.number}", tuple(attached), (ref.table,), lock))
    for index in ref.indexes:
        if index.constraint == "u" and not index.only:
            steps.append(
                Step(
                    f"constraint {index.build_name}",
                    tuple(constraint_statements(index)[:1]),
                    (ref.table,),
                    "ACCESS EXCLUSIVE",
                )
            )
    if ref.columns.not_null:
        add, validate = not_null_check(ref.table, ref.columns.uuid_column, ref.check_name)
        steps.append(Step(f"check {ref.check_name}", (add,), (ref.table,), "ACCESS EXCLUSIVE"))
        steps.append(Step(f"validate {ref.check_name}", (validate,)))
    return steps


def build_reference(
    database: Database, conn: Connection, journal: Journal, run: Run, ref: ReferencePlan, budget: LockBudget, report: Reporter
) -> None:
    """Indexes CONCURRENTLY, then the short steps through the ladder."""
    for index in reference_indexes(ref):
        with explained(database, conn, f"CREATE INDEX CONCURRENTLY {index.build_name}", report):
            ensure_index(conn, index, concurrently=True)
    for step in reference_steps(ref):
        if not journal.step_done(run.id, step.name):
            with nullcontext() if step.tables else explained(database, conn, step.name, report):
                run_step(conn, journal, run, step, budget, report)
    step = Step(f"statistics {ref.table}", tuple(statistics_of(run.plan, ref.table)))
    if step.statements and not journal.step_done(run.id, step.name):
        run_step(conn, journal, run, step, budget, report)
    analyzed = f"analyze {ref.columns.number}"
    if not journal.step_done(run.id, analyzed):
        with explained(database, conn, f"ANALYZE {ref.table}", report):
            conn.execute(analyze_reference(ref.table).sql)
        journal.mark_step(run.id, analyzed)


def identity_steps(plan: Plan) -> list[Step]:
    """NOT NULL on the identity column without a scan under a strong lock; nothing where it is NOT NULL already."""
    column = plan.source_table.column(plan.identity)
    if column is not None and column.not_null:
        return []
    name = f"swap_{plan.tag}_identity_present"
    add, validate = not_null_check(plan.source, plan.identity, name)
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    ident = sql.Identifier(plan.identity)
    final = Statement(
        alter + sql.SQL("ALTER COLUMN {} SET NOT NULL, DROP CONSTRAINT {}").format(ident, sql.Identifier(name)),
        "NOT NULL, proved by the check; no scan", plan.source, "ACCESS EXCLUSIVE",
        alter + sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(ident),
    )  # fmt: skip
    return [
        Step("identity check", (add,), (plan.source,), "ACCESS EXCLUSIVE"),
        Step("identity validate", (validate,)),
        Step("identity not null", (final,), (plan.source,), "ACCESS EXCLUSIVE"),
    ]
