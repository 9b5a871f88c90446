"""The structure as it was last journalled, and the differences from it (H38).

`swap` writes a new baseline only after it has compared the old one. Lines that `swap` itself changed on the way are its own.
Any other difference was made by another session, and stops the run, because the shadow does not have it.

One is expected: after the cutover the new release brings new texts of the functions that are bound to the tables. A revert drops these
and puts the old functions back, which were set aside. So their text counts before the cutover, where the exchange would create the
recorded one, and not after it (H69).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.catalog.load import structure
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.ddl.capture import CAPTURE, DELETED, MOVED, TRUNCATE
from swap.ddl.compat import compat_trigger_names
from swap.ddl.fence import FENCE
from swap.ddl.guards import COMPLETE, GUARD
from swap.ddl.not_null import integer_check_name
from swap.ddl.replication import publication_name
from swap.ddl.statistics import build_name
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.plan.texts import with_new_body
from swap.state.migration import Migration

NAME = r'("(?:[^"]|"")+"|[^\s]+)'
SUBJECT = re.compile(
    rf"^(?:column|attribute|indexed|comment|constraint|statistics|publication) {NAME}|^index CREATE (?:UNIQUE )?INDEX {NAME} ON|^trigger CREATE (?:CONSTRAINT )?TRIGGER {NAME}"
)
# Lines that version 0.1.0 did not record. Every table has an `attribute` line, so a recorded structure without one is that old.
# Nor did a later one record what `indexed` says of an index, nor the functions that [[function]] names (`named`).
INDEXED, NAMED = "indexed ", "named "
LATER = ("attribute ", "storage ", "rule ", "child ", "parent ", "comment ")
Line = tuple[str, str, str]
VALID = re.compile(r"( NOT VALID)?( valid=[tf])?$")


def watched_tables(conn: Connection, plan: Plan) -> list[int]:
    """Oids of every table whose structure must not drift: source, references, shadow or retired table."""
    return table_oids(conn, _watched(plan))


def _watched(plan: Plan) -> set[TableName]:
    return {*(n for t in plan.swapped for n in (t.name, t.shadow, t.retired)), *(r.table for r in plan.references)}


def table_oids(conn: Connection, names: Iterable[TableName]) -> list[int]:
    return [int(r[0]) for r in conn.execute(_oids(names)).fetchall()]


def _oids(names: Iterable[TableName]) -> sql.Composed:
    """Of the tables that exist, in one statement, whatever their number. With the partitions that they have now: a new one is
    a change like any other, because its rows have neither index nor key."""
    return sql.SQL(
        "WITH named AS ({}) SELECT oid FROM named UNION SELECT t.relid FROM named, pg_partition_tree(named.oid) t"
    ).format(_named_tables(names))


def _named_tables(names: Iterable[TableName]) -> sql.Composed:
    wanted = sorted(names)
    return sql.SQL(
        "SELECT c.oid FROM unnest({}::text[], {}::text[]) w(schema, name)"
        " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    ).format(sql.Literal([n.schema for n in wanted]), sql.Literal([n.name for n in wanted]))


def structure_now(plan: Plan) -> sql.Composed:
    """The structure of the watched tables as (tab, line) rows. One statement, which finds them by name."""
    return _structure(plan, _oids(_watched(plan)))


def locked_structure(plan: Plan) -> sql.Composed:
    """`structure_now` without the partitions of a partitioned source: what is read under the exchange's lock, before the names change
    and after it."""
    divided = _divided(plan)
    others = _oids(_watched(plan) - divided)
    return _structure(plan, sql.SQL("{} UNION ({})").format(others, _named_tables(divided)) if divided else others)


def partitions_structure(plan: Plan) -> sql.Composed:
    """The structure of the partitions of a partitioned source, on both sides."""
    below = sql.SQL("WITH named AS ({}) SELECT t.relid AS oid FROM named, pg_partition_tree(named.oid) t WHERE t.level > 0")
    return sql.SQL("WITH watched AS MATERIALIZED ({}) {}").format(
        below.format(_named_tables(_divided(plan))), structure(sql.SQL("ARRAY(SELECT oid FROM watched)"))
    )


def _divided(plan: Plan) -> set[TableName]:
    """The partitioned sources, by every name that they have in a run."""
    return {n for t in plan.swapped if t.partitioned for n in (t.name, t.shadow, t.retired)}


def partition_names(plan: Plan) -> set[str]:
    """The partitions of a partitioned source on both sides, by every name that they have in a run, as the structure's lines write it."""
    return {str(n) for t in plan.swapped for p in t.partitions for n in (p.name, p.shadow, p.retired)}


def _structure(plan: Plan, oids: sql.Composed) -> sql.Composed:
    return sql.SQL("WITH watched AS MATERIALIZED ({}) {} UNION {}").format(
        oids, structure(sql.SQL("ARRAY(SELECT oid FROM watched)")), _named(plan)
    )


def of_partitions(plan: Plan, lines: Iterable[Sequence[str]]) -> set[tuple[str, str]]:
    """The lines that are about the partitions of a partitioned source."""
    parts = partition_names(plan)
    return {(tab, line) for tab, line in lines if tab in parts}


def recorded(plan: Plan, was: Iterable[Sequence[str]], now: Iterable[Sequence[str]]) -> set[tuple[str, str]]:
    """`now` without what is not recorded in `was`. Between an exchange and its follow-up that are the partitions of the source."""
    lines = {(tab, line) for tab, line in now}
    return lines if of_partitions(plan, was) else lines - of_partitions(plan, lines)


def _named(plan: Plan) -> sql.Composed:
    """The functions of [[function]] that no table is bound to, as they are called before the cutover and after it."""
    bound = {f.oid for f in plan.catalog.functions}
    old = [n.function for n in plan.catalog.named if n.function.oid not in bound and plan.text_of(n.function.oid)]
    both = {(f.name, arguments) for f in old for arguments in (f.arguments, with_new_body(f, plan.text_of(f.oid)).arguments)}
    wanted = sorted(both)
    return load_sql("swap.catalog", "structure_named.sql").format(
        schemas=sql.Literal([name.schema for name, _ in wanted]), names=sql.Literal([name.name for name, _ in wanted]),
        arguments=sql.Literal([arguments for _, arguments in wanted]),
    )  # fmt: skip


def read_watched(migration: Migration) -> list[tuple[str, str]]:
    """`structure_now`, read."""
    return [(str(tab), str(line)) for tab, line in migration.conn.execute(structure_now(migration.plan)).fetchall()]


def record_structure(plan: Plan, run_id: int, *, locked: bool = False) -> sql.Composed:
    """Journal the structure as it is now. Every later gate compares with it. `locked`: under the exchange's lock. The follow-up then
    records the rest."""
    now = locked_structure(plan) if locked else structure_now(plan)
    lines = sql.SQL("SELECT jsonb_agg(jsonb_build_array(s.tab, s.line)) FROM ({}) s").format(now)
    return sql.SQL("UPDATE {} SET baseline = ({}) WHERE id = {}").format(
        sql.Identifier(plan.state_schema, "run"), lines, sql.Literal(run_id)
    )


def store_baseline(migration: Migration) -> None:
    """Record the structure as it is now, in the caller's transaction."""
    migration.conn.execute(record_structure(migration.plan, migration.run.id))


def drift(migration: Migration) -> list[str]:
    """The differences from the baseline, one line each."""
    return _as_text(drift_lines(migration))


def drift_lines(migration: Migration) -> list[Line]:
    """The same as (sign, table, line)."""
    baseline = migration.journal.baseline(migration.run.id) or ()
    now = migration.conn.execute(structure_now(migration.plan)).fetchall()
    return _changed(*comparable(baseline, recorded(migration.plan, baseline, now), migration.direction))


def difference(was: Iterable[Sequence[str]], now: Iterable[Sequence[str]], direction: Direction) -> list[str]:
    """The lines of either that the other has not, as text (`+`: new, `-`: gone). What says most comes first: a new column has a line
    of its own before that of its attributes."""
    return _as_text(_changed(*comparable(was, now, direction)))


def _changed(before: set[tuple[str, str]], after: set[tuple[str, str]]) -> list[Line]:
    changed = [("+", t, line) for t, line in sorted(after - before)] + [("-", t, line) for t, line in sorted(before - after)]
    return sorted(changed, key=lambda x: x[2].startswith((*LATER, INDEXED)))


def _as_text(changed: Iterable[Line]) -> list[str]:
    return [f"{sign} {t}: {line}" for sign, t, line in changed]


def comparable(
    was: Iterable[Sequence[str]], now: Iterable[Sequence[str]], direction: Direction
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Both as sets, without the kinds of lines that were not recorded yet when `was` was."""
    before, after = (_counted(lines, direction) for lines in (was, now))
    for kind in (INDEXED, NAMED):
        if not any(line.startswith(kind) for _, line in before):
            after = {(tab, line) for tab, line in after if not line.startswith(kind)}
    if not any(line.startswith(LATER[0]) for _, line in before):
        after = {(tab, line) for tab, line in after if not line.startswith(LATER)}
    return before, after


def foreign_drift(migration: Migration) -> list[str]:
    """`drift` without the objects that `prepare` and `sync` add, and without constraints that became validated."""
    return _as_text(foreign_drift_lines(migration))


def foreign_drift_lines(migration: Migration) -> list[Line]:
    """The same as (sign, table, line)."""
    conn, plan = migration.conn, migration.plan
    mine = own_names(plan)
    before = migration.journal.baseline(migration.run.id) or []
    found = recorded(plan, before, conn.execute(structure_now(plan)).fetchall())
    was, now = ({(t, VALID.sub("", line)) for t, line in lines} for lines in comparable(before, found, migration.direction))
    shadows = _shadows(conn, plan)
    return [c for c in _changed(was, now) if c[1] not in shadows and _subject(c[2]) not in mine]


def foreign_structure(conn: Connection, plan: Plan) -> set[tuple[str, str]]:
    """The structure as it is now as (table, line), without the shadows and what else `swap` puts there, and without whether a constraint
    is validated: so it is the same before a cutover and after the revert of one."""
    mine, shadows = own_names(plan) - (set() if plan.identity_added else {plan.identity}), _shadows(conn, plan)
    lines = conn.execute(structure_now(plan)).fetchall()
    return {(t, VALID.sub("", line)) for t, line in lines if t not in shadows and _subject(line) not in mine}


def _shadows(conn: Connection, plan: Plan) -> set[str]:
    names = [x.sql.as_string(conn) for t in plan.swapped for x in t.made]
    return {r[0] for r in conn.execute("SELECT to_regclass(n)::text FROM unnest(%s::text[]) n", [names]).fetchall()}


def own_names(plan: Plan) -> set[str]:
    """Names of everything swap puts on the source and its references before a cutover."""
    refs = plan.references
    indexes = [i for r in refs for i in (*r.indexes, *r.parts, *r.spares) if not i.adopted]
    guards = [f"{GUARD}_{r.number}_{on}" for r in plan.all_references for on in ("insert", "update")]
    guards += [f"{COMPLETE}_{r.number}" for r in plan.all_references]
    names = {CAPTURE, DELETED, MOVED, TRUNCATE, FENCE, f"{GUARD}_insert", f"{GUARD}_update", *guards, plan.identity}
    names |= {r.columns.uuid_column for r in refs if not r.columns.adopted} | {
        n for r in refs for n in (r.check_name, integer_check_name(r))
    }
    names |= {i.build_name for i in indexes} | {f"swap_{plan.tag}_identity_present", publication_name(plan)}
    names |= {build_name(s).name for s in plan.catalog.statistics}
    names |= {r.columns.compat_column for r in refs if r.columns.compat_column} | compat_trigger_names(plan)
    names |= {i.build_name for r in refs for i in r.compat_indexes}
    return names | ({plan.identity_index.build_name} if plan.identity_index else set())


def _subject(line: str) -> str:
    found = SUBJECT.match(line)
    name = next((g for g in found.groups() if g), "") if found else ""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


FUNCTION = re.compile(r"^(?:named )?CREATE OR REPLACE (?:FUNCTION|PROCEDURE) .*(?= owner=)", re.DOTALL)


def _counted(lines: Iterable[Sequence[str]], direction: Direction) -> set[tuple[str, str]]:
    """The lines as a set; in reverse those of functions without their text."""
    if direction is Direction.FORWARD:
        return {(tab, line) for tab, line in lines}
    return {(tab, FUNCTION.sub(lambda m: f"{NAMED if m[0].startswith(NAMED) else ''}function", line)) for tab, line in lines}


def redeployed(was: Iterable[Sequence[str]], now: Iterable[Sequence[str]]) -> list[str]:
    """The functions whose text is another one."""
    before = {tab: line for tab, line in was if FUNCTION.match(line)}
    return sorted(tab for tab, line in now if tab in before and FUNCTION.match(line) and line != before[tab])


KEPT = "What was committed before stays; the source is untouched and capture goes on."


def refuse_drift(lines: list[str], since: str, direction: Direction, state: str = KEPT) -> None:
    """Raises RefusedError naming the first change. `state`: what the refused command leaves behind."""
    if lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        again = "Undo that change, or `swap abort` and prepare again: the shadow does not have it."
        undo = "Undo that change: the table that a revert would bring back does not have it."  # after a cutover nothing can be aborted
        raise RefusedError(
            f"The structure changed since {since}: {lines[0]}{more}.",
            state=state,
            hint=again if direction is Direction.FORWARD else undo,
        )
