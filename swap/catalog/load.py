"""Reads the catalog in one REPEATABLE READ transaction.

The server takes ACCESS SHARE on a table to print an expression of it (pg_get_expr and its kin). So the wait for a table that
another session alters is bounded: psycopg's LockNotAvailable after `LOCK_WAIT_MS`.

The server prints every definition and expression under `search_path = pg_catalog`: the text is fully qualified, and any
session can run it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import replace

from psycopg import sql

from swap.catalog.meaning import Meanings
from swap.catalog.model import (
    BoundPolicy,
    Catalog,
    Check,
    Column,
    Dependent,
    ForeignKey,
    Grant,
    Index,
    Label,
    Policy,
    Publication,
    Sequence,
    Statistics,
    Table,
    Trigger,
)
from swap.catalog.parts import PLAIN
from swap.catalog.query import PACKAGE, find_relation, find_relations, query, query_grouped, query_parts
from swap.core.connection import Connection
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName
from swap.core.rows import Row, from_row
from swap.core.sql_text import load_sql

LOCK_WAIT_MS = 5_000


def resolve(conn: Connection, table: TableName, *, partitioned: bool = False) -> int:
    """The oid of an ordinary table, or of a `partitioned` one. Raises UsageError when there is no such table, and RefusedError
    for a partitioned table where none may be."""
    found = find_relation(conn, table)
    if found is None:
        raise UsageError(
            f"There is no table {table} in this database.",
            hint="Check [source] table (schema.table) and the database in the connection string.",
        )
    if found.kind == "p" and not partitioned:
        raise RefusedError(
            f"{table} is a partitioned table; a partitioned source is not supported.",
            hint="Migrate an unpartitioned table; docs/limits.md says why.",
        )
    if found.kind not in "rp":
        raise UsageError(f"{table} is not an ordinary table.", hint="Name the table itself, not a view or index.")
    return found.oid


def column_type(conn: Connection, table: TableName, column: str) -> str | None:
    """The type of a column, as format_type prints it; None when there is no such column."""
    found = query(conn, "column_type.sql", schema=table.schema, name=table.name, column=column)
    return found[0]["type"] if found else None


def load_catalog(conn: Connection, source: TableName, declared: Seq[tuple[TableName, str]] = ()) -> Catalog:
    """The catalog around `source`, without its dependents (swap.catalog.dependents). `declared`: references (table, column) that
    no constraint shows.

    Raises what `resolve` raises, and psycopg's LockNotAvailable.
    """
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_WAIT_MS}ms"])
        return _load(conn, source, declared)


def _load(conn: Connection, source: TableName, declared: Seq[tuple[TableName, str]]) -> Catalog:
    source_oid = resolve(conn, source, partitioned=True)
    named = [resolve(conn, t, partitioned=True) for t, _ in declared]
    chains = query(conn, "chains.sql", source=source_oid, oids=named, columns=[c for _, c in declared])
    oids = sorted({*(r["oid"] for r in chains), *named})
    tables = with_partitions(conn, load_tables(conn, oids))
    by_oid = {t.oid: t for t in tables}
    (session,) = query(conn, "session.sql")
    return Catalog(
        server_version=conn.info.server_version,
        database=session["database"],
        role=session["role"],
        source=by_oid[source_oid],
        tables=tables,
        foreign_keys=load_foreign_keys(conn, tables),
        views=(),
        dependents=tuple(from_row(Dependent, r, table=by_oid[r["table_oid"]].name) for r in query(conn, "census.sql", oids=oids)),
        policies=load_policies(conn, source_oid, oids),
        statistics=load_statistics(conn, tables),
    )


def load_foreign_keys(conn: Connection, tables: tuple[Table, ...]) -> tuple[ForeignKey, ...]:
    """Every foreign key into or out of the tables, in the order in which they were made."""
    partitioned = [t.oid for listed in tables for t in (listed, *listed.partitions) if t.kind == "p"]
    parts = query_grouped(conn, "partition_keys.sql", partitioned)
    names = {t.name for t in tables}
    out = []
    for r in query(conn, "constraints.sql", oids=[t.oid for t in tables]):
        if r["kind"] == "f":
            mine = [p for p in parts[r["of_oid"]] if p["name"] == r["name"]]
            root = TableName(r["root_schema"], r["root_relation"])
            key = from_row(
                ForeignKey, r,
                table=TableName(r["schema"], r["relation"]),
                definition=_without_not_valid(r["definition"]),
                target=TableName(r["target_schema"], r["target_relation"]),
                parts=tuple((TableName(p["schema"], p["relation"]), p["part_name"]) for p in mine),
                root=root if root in names else None,
            )  # fmt: skip
            out.append(key)
    return tuple(out)


def _without_not_valid(definition: str) -> str:
    """pg_get_constraintdef appends NOT VALID to a constraint that is not validated. The catalog holds that as a flag instead."""
    return definition.removesuffix(" NOT VALID")


def load_tables(conn: Connection, oids: list[int]) -> tuple[Table, ...]:
    """The tables with all their parts except partitions, ordered by name."""
    meanings = Meanings(conn, oids)
    columns = meanings.give("column", query_parts(conn, Column, "columns.sql", oids, meaning=PLAIN))
    indexes = meanings.give("index", _indexes(conn, oids))
    constraints = query_grouped(conn, "constraints.sql", oids)
    checks = meanings.give("check", {oid: _checks(found) for oid, found in constraints.items()})
    triggers = meanings.give("trigger", query_parts(conn, Trigger, "triggers.sql", oids, meaning=PLAIN))
    policies = meanings.give("policy", query_parts(conn, Policy, "policies.sql", oids, meaning=PLAIN))
    grants = query_parts(conn, Grant, "grants.sql", oids)
    sequences = load_sequences(conn, oids)
    publications = query_parts(conn, Publication, "publications.sql", oids)
    labels = query_parts(conn, Label, "labels.sql", oids)
    return tuple(
        from_row(
            Table, r,
            name=TableName(r["schema"], r["relation"]),
            columns=columns[oid],
            indexes=indexes[oid],
            checks=checks[oid],
            triggers=triggers[oid],
            policies=policies[oid],
            grants=grants[oid],
            sequences=sequences[oid],
            publications=publications[oid],
            labels=labels[oid],
            partitions=(),
            parent=TableName(r["parent_schema"], r["parent_relation"]) if r["parent_schema"] else None,
        )
        for r in query(conn, "tables.sql", oids=oids)
        for oid in (r["oid"],)
    )  # fmt: skip


def find_tables(conn: Connection, names: Iterable[TableName]) -> dict[TableName, Table]:
    """The tables of these names (`load_tables`), without those that do not exist. A number of round trips that does not depend on
    theirs."""
    oids = [found.oid for found in find_relations(conn, names).values()]
    return {t.name: t for t in load_tables(conn, oids)} if oids else {}


def find_whole_tables(conn: Connection, names: Iterable[TableName]) -> dict[TableName, Table]:
    """The same, those that are partitioned with their partitions."""
    return {t.name: t for t in with_partitions(conn, tuple(find_tables(conn, names).values()))}


def _checks(constraints: list[Row]) -> tuple[Check, ...]:
    return tuple(
        from_row(Check, r, definition=_without_not_valid(r["definition"]), meaning=PLAIN) for r in constraints if r["kind"] == "c"
    )


def with_partitions(conn: Connection, tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """The tables, those that are partitioned with their partitions of every level."""
    divided = [t.oid for t in tables if t.kind == "p"]
    if not divided:
        return tables
    rows = query_grouped(conn, "partitions.sql", divided)
    oids = [r["oid"] for found in rows.values() for r in found]
    by_oid = {t.oid: t for t in load_tables(conn, oids)} if oids else {}
    return tuple(replace(t, partitions=tuple(by_oid[r["oid"]] for r in rows[t.oid])) for t in tables)


def load_indexes(conn: Connection, oids: list[int]) -> dict[int, tuple[Index, ...]]:
    """By table: its indexes, ordered by name."""
    return Meanings(conn, oids).give("index", _indexes(conn, oids))


def _indexes(conn: Connection, oids: list[int]) -> dict[int, tuple[Index, ...]]:
    return query_parts(conn, Index, "indexes.sql", oids, meaning=PLAIN)


def load_statistics(conn: Connection, tables: Seq[Table]) -> tuple[Statistics, ...]:
    """The extended statistics of the tables, ordered by name."""
    names = {t.oid: t.name for t in tables}
    meanings = Meanings(conn, names)
    out = []
    for r in query(conn, "statistics.sql", oids=list(names)):
        name = TableName(r["schema"], r["object"])
        meaning = meanings.of(r["of_oid"], "statistics", name.name)
        out.append(from_row(Statistics, r, table=names[r["of_oid"]], name=name, meaning=meaning))
    return tuple(out)


def load_sequences(conn: Connection, oids: list[int]) -> dict[int, tuple[Sequence, ...]]:
    """By table: the sequences that its columns own."""
    rows = query(conn, "sequences.sql", oids=oids)
    grants = query_parts(conn, Grant, "grants.sql", [r["oid"] for r in rows])
    out: dict[int, tuple[Sequence, ...]] = defaultdict(tuple)
    for r in rows:
        made = from_row(Sequence, r, name=TableName(r["schema"], r["relation"]), grants=grants[r["oid"]])
        out[r["of_oid"]] += (made,)
    return out


def load_policies(conn: Connection, source: int, oids: list[int]) -> tuple[BoundPolicy, ...]:
    """Policies of other tables that read the source or another of the tables."""
    rows = query(conn, "policies_elsewhere.sql", source=source, oids=oids)
    meanings = Meanings(conn, [r["oid"] for r in rows])
    return tuple(
        from_row(
            BoundPolicy, r,
            table=TableName(r["schema"], r["relation"]),
            policy=from_row(Policy, r, meaning=meanings.of(r["oid"], "policy", r["name"])),
        )
        for r in rows
    )  # fmt: skip


def structure(oids: sql.Composable) -> sql.Composed:
    """A query for the structure of the tables: rows of (tab, line). The plan's fingerprint is made of it, and drift is named by
    its lines. `oids`: an array."""
    files = (load_sql(PACKAGE, f).format(oids=oids) for f in ("structure.sql", "structure_dependents.sql"))
    return sql.SQL("SELECT * FROM ({}) t UNION ALL SELECT * FROM ({}) f").format(*files)


def read_structure(conn: Connection, oids: list[int]) -> list[tuple[str, str]]:
    """The structure of the tables as (table, line)."""
    return [(tab, line) for tab, line in conn.execute(structure(sql.Literal(oids))).fetchall()]
