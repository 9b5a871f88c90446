"""The trap that makes a read retry if its snapshot is older than the last exchange: `[cutover] reads = "exact"` (H70).

A table has no trigger for reads. But the planner folds a function that is labelled IMMUTABLE wherever it meets one, also in the
extended statistics of the tables that it plans for. So statistics over such a function are a trigger for planning: catalog
only, and no statement of the application changes.

Statistics are created and dropped under ACCESS EXCLUSIVE. DROP STATISTICS itself takes less, and then a session that plans for
the table at that moment may fail (seen on 18: "cache lookup failed for statistics object", 8 of 225 new sessions, with 183 drops).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, anonymous, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.plan.model import Plan

TRAPPED = "reads of older snapshots are told to retry"
"""The journal's row that says that the trap is there."""


def trapped_tables(plan: Plan) -> dict[TableName, str]:
    """The tables of the application that change at an exchange, each with a column that it has before and after."""
    columns = {r.table: r.columns.column for r in reversed(plan.references)}
    return {t.name: plan.key if t.is_source else t.key[0] for t in plan.swapped} | columns


def partitions_of(plan: Plan, table: TableName) -> tuple[TableName, ...]:
    """The partitions of a trapped table, of every level, by the names that they have before an exchange and after it."""
    t = plan.swapped_table(table)
    return tuple(p.name for p in (t.partitions if t else plan.catalog.table(table).partitions))


def raise_generation(plan: Plan) -> Query:
    """Raise the generation of reads by one. A snapshot that shows it shows everything that replay had committed."""
    return sql.SQL(
        "INSERT INTO {fence} AS f (tag, generation) VALUES ({tag}, 1)"
        " ON CONFLICT (tag) DO UPDATE SET generation = f.generation + 1"
    ).format(fence=_fence(plan), tag=_tag(plan))


def set_trap(plan: Plan, *, raised: bool) -> list[Statement]:
    """From now on a read whose snapshot does not show the generation of now is told to retry. `raised`: this transaction raises it.

    Under the exchange's lock, when the tables have their new names. The generation counts attempts, which no plan foretells. So the
    statistics take it from its row, and the text is the same in every plan, dry run and exchange."""
    name = _name(plan)
    routine = name.sql.as_string(None) + "(pg_catalog.int8)"
    function = sql.SQL(
        "CREATE FUNCTION {routine} RETURNS boolean LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER AS {body};"
        " REVOKE ALL ON FUNCTION {routine} FROM PUBLIC; {bare}; GRANT EXECUTE ON FUNCTION {routine} TO PUBLIC"
    ).format(
        routine=verbatim(routine), body=sql.Literal(_body(plan)),
        bare=anonymous(load_sql("swap.ddl", "bare_routine.sql").format(routine=sql.Literal(routine))),
    )  # fmt: skip
    why = "reads of older snapshots are told to retry"
    out = [Statement(raise_generation(plan), "snapshots of before the exchange are older", kind=Kind.CAPTURE)] if raised else []
    out += [*drop_trap(plan), Statement(function, why, kind=Kind.CAPTURE, verb=Verb.CREATE)]
    numbers = count()
    for table, column in trapped_tables(plan).items():
        on = {n: plan.state(f"reads_{next(numbers)}") for n in (table, *partitions_of(plan, table))}
        text = anonymous(_create_statistics(plan, on, column))
        out.append(Statement(text, why, table, "SHARE UPDATE EXCLUSIVE", kind=Kind.CAPTURE, verb=Verb.CREATE))
    return out


def drop_trap(plan: Plan) -> list[Statement]:
    """Under ACCESS EXCLUSIVE on every trapped table. CASCADE: whatever statistics there are over the function, also on a partition that was
    detached since, and on a table of anybody's that was made LIKE a trapped one, INCLUDING STATISTICS (seen: without it `sync` could not go
    on, and only its owner may drop those)."""
    drop = sql.SQL("DROP FUNCTION IF EXISTS {} CASCADE").format(_name(plan).sql)
    return [Statement(drop, "the trap of an exchange", kind=Kind.CAPTURE, verb=Verb.DROP)]


def _create_statistics(plan: Plan, on: Mapping[TableName, TableName], column: str) -> sql.Composed:
    """Statistics `on` a table and its partitions. In one block: for 200 partitions that took 26 ms, with a block for each 43 ms."""
    executes = []
    for table, statistics in on.items():
        create = sql.SQL("CREATE STATISTICS {} ON (({} IS NULL) OPERATOR(pg_catalog.=) {}(")
        start = create.format(statistics.sql, sql.Identifier(column), _name(plan).sql).as_string(None)
        end = f")) FROM {table.sql.as_string(None)}"
        executes.append(sql.SQL("EXECUTE {} || generation || {}").format(sql.Literal(start), sql.Literal(end)))
    return sql.SQL(
        "DECLARE generation pg_catalog.text := (SELECT f.generation FROM {} f WHERE f.tag OPERATOR(pg_catalog.=) {});\nBEGIN\n{};\nEND"
    ).format(_fence(plan), _tag(plan), sql.SQL(";\n").join(executes))


def _body(plan: Plan) -> str:
    return load_sql("swap.ddl", "exact_reads.sql").format(fence=_fence(plan), tag=_tag(plan)).as_string(None)


def _fence(plan: Plan) -> sql.Identifier:
    return sql.Identifier(plan.state_schema, "fence")


def _tag(plan: Plan) -> sql.Literal:
    """Of the row beside the fence's own: the generation of writes is under the tag itself."""
    return sql.Literal(-plan.tag)


def _name(plan: Plan) -> TableName:
    return plan.state("reads")
