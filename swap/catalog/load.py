"""Reads the catalog in one REPEATABLE READ transaction. Printing an expression (pg_get_expr and its kin) takes ACCESS
SHARE on the table, so the wait for a table that somebody alters is bounded (psycopg's LockNotAvailable).

Every text the server prints (definitions, expressions) is printed under `search_path = pg_catalog`, so it is
fully qualified and can be run again from any session.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Any, TypeVar

from psycopg import sql

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
from swap.core.connection import Connection
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName
from swap.core.sql_text import load_sql

Rows = list[tuple[Any, ...]]
LOCK_WAIT_MS = 5_000


def query(conn: Connection, file: str, **params: object) -> Rows:
    """Run one of this package's `.sql` files."""
    return conn.execute(load_sql("swap.catalog", file), params).fetchall()


def resolve(conn: Connection, table: TableName, *, partitioned: bool = False) -> int:
    """The oid of an ordinary table, or of a `partitioned` one. Raises UsageError for what is missing or not a table."""
    rows = query(conn, "resolve.sql", schema=table.schema, name=table.name)
    if not rows:
        raise UsageError(
            f"There is no table {table} in this database.",
            hint="Check [source] table (schema.table) and the database in the connection string.",
        )
    oid, kind = rows[0]
    if kind == "p" and not partitioned:
        raise RefusedError(
            f"{table} is a partitioned table; a partitioned source is not supported.",
            hint="Migrate an unpartitioned table; docs/limits.md says why.",
        )
    if kind not in "rp":
        raise UsageError(f"{table} is not an ordinary table.", hint="Name the table itself, not a view or index.")
    return int(oid)


def column_type(conn: Connection, table: TableName, column: str) -> str | None:
    """The type of a column, as format_type prints it; None when there is no such column."""
    row = conn.execute(
        "SELECT format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s"
        " AND NOT a.attisdropped",
        [table.schema, table.name, column],
    ).fetchone()
    return row[0] if row else None


def load_catalog(conn: Connection, source: TableName, declared: Seq[tuple[TableName, str]] = ()) -> Catalog:
    """The catalog around `source`; `declared` are references (table, column) that no constraint shows."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_WAIT_MS}ms"])
        return _load(conn, source, declared)


def _load(conn: Connection, source: TableName, declared: Seq[tuple[TableName, str]]) -> Catalog:
    source_oid = resolve(conn, source)
    named = [resolve(conn, t, partitioned=True) for t, _ in declared]
    chains = query(conn, "chains.sql", source=source_oid, oids=named, columns=[c for _, c in declared])
    oids = sorted({*(int(r[0]) for r in chains), *named})
    tables = with_partitions(conn, load_tables(conn, oids))
    by_oid = {t.oid: t for t in tables}
    divided = [t.oid for listed in tables for t in (listed, *listed.partitions) if t.kind == "p"]
    parts = _group(query(conn, "partition_keys.sql", oids=divided))
    names = {t.name for t in tables}
    foreign_keys = tuple(
        ForeignKey(
            TableName(r[7], r[8]), r[1], _bare(r[3]), r[4], r[5], TableName(r[9], r[10]),
            tuple(r[11]), tuple(r[12]), r[13], r[14] or r[15] > 0,
            tuple((TableName(p[2], p[3]), p[4]) for p in parts[r[0]] if p[1] == r[1]),
            TableName(r[16], r[17]) if r[17] and TableName(r[16], r[17]) in names else None,
        )
        for r in query(conn, "constraints.sql", oids=oids)
        if r[2] == "f"
    )  # fmt: skip
    version = conn.info.server_version
    head = conn.execute("SELECT current_database(), current_user").fetchone()
    assert head is not None
    dependents = tuple(Dependent(by_oid[r[0]].name, r[1], r[2], r[3]) for r in query(conn, "census.sql", oids=oids))
    return Catalog(
        version, head[0], head[1], by_oid[source_oid], tables, foreign_keys, (), dependents,
        load_policies(conn, source_oid, oids), statistics=tuple(load_statistics(conn, tables)),
    )  # fmt: skip


def _bare(definition: str) -> str:
    """pg_get_constraintdef appends NOT VALID to what is not validated; that is kept as a flag instead."""
    return definition.removesuffix(" NOT VALID")


def load_tables(conn: Connection, oids: list[int]) -> tuple[Table, ...]:
    """Tables with all their parts, ordered by name."""
    columns = _group(query(conn, "columns.sql", oids=oids))
    indexes = load_indexes(conn, oids)
    constraints = _group(query(conn, "constraints.sql", oids=oids))
    triggers = _group(query(conn, "triggers.sql", oids=oids))
    policies = _group(query(conn, "policies.sql", oids=oids))
    grants = _group(query(conn, "grants.sql", oids=oids))
    sequences = load_sequences(conn, oids)
    publications = _group(query(conn, "publications.sql", oids=oids))
    labels = _group(query(conn, "labels.sql", oids=oids))
    tables = []
    for r in query(conn, "tables.sql", oids=oids):
        oid = int(r[0])
        tables.append(
            Table(
                oid=oid, name=TableName(r[1], r[2]), owner=r[3], kind=r[4], persistence=r[5], rls=r[6], force_rls=r[7],
                options=tuple(r[8]), toast_options=tuple(r[9]), comment=r[10], rows_estimate=r[11], heap_bytes=r[12],
                total_bytes=r[13], replident=r[14], has_children=r[15], is_child=r[16], has_rules=r[17], tablespace=r[18],
                access_method=r[19], of_type=r[20],
                columns=tuple(_make(Column, c) for c in columns[oid]),
                indexes=tuple(indexes[oid]),
                checks=tuple(Check(k[1], _bare(k[3]), k[4], k[13]) for k in constraints[oid] if k[2] == "c"),
                triggers=tuple(_make(Trigger, t) for t in triggers[oid]),
                policies=tuple(_make(Policy, p) for p in policies[oid]),
                grants=tuple(_make(Grant, g) for g in grants[oid]),
                sequences=tuple(sequences[oid]),
                publications=tuple(_make(Publication, p) for p in publications[oid]),
                partition_key=r[21], parent=TableName(*r[22]) if r[22] else None, bound=r[23],
                labels=tuple(_make(Label, x) for x in labels[oid]),
            )
        )  # fmt: skip
    return tuple(tables)


def with_partitions(conn: Connection, tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """Partitioned tables with their partitions."""
    rows = query(conn, "partitions.sql", oids=[t.oid for t in tables if t.kind == "p"])
    by_oid = {t.oid: t for t in load_tables(conn, [r[1] for r in rows])} if rows else {}
    return tuple(replace(t, partitions=tuple(by_oid[r[1]] for r in rows if r[0] == t.oid)) for t in tables)


def load_indexes(conn: Connection, oids: list[int]) -> dict[int, list[Index]]:
    """By table: its indexes, ordered by name."""
    out: dict[int, list[Index]] = defaultdict(list)
    for r in query(conn, "indexes.sql", oids=oids):
        out[int(r[0])].append(_make(Index, r))
    return out


def load_statistics(conn: Connection, tables: Seq[Table]) -> list[Statistics]:
    names = {t.oid: t.name for t in tables}
    rows = query(conn, "statistics.sql", oids=list(names))
    return [_make(Statistics, (r[0], names[r[0]], TableName(r[1], r[2]), *r[3:])) for r in rows]


def load_sequences(conn: Connection, oids: list[int]) -> dict[int, list[Sequence]]:
    """By table: the sequences its columns own."""
    rows = query(conn, "sequences.sql", oids=oids)
    grants = _group(query(conn, "grants.sql", oids=[r[15] for r in rows]))
    out: dict[int, list[Sequence]] = defaultdict(list)
    for r in rows:
        held = tuple(_make(Grant, g) for g in grants[r[15]])
        out[int(r[0])].append(_make(Sequence, (r[0], r[1], TableName(r[2], r[3]), *r[4:15], held)))
    return out


T = TypeVar("T")


def _make(cls: type[T], row: tuple[Any, ...]) -> T:
    """A dataclass from a row whose first column is the table's oid and whose rest are the fields, in order."""
    return cls(*(tuple(v) if isinstance(v, list) else v for v in row[1:]))


def load_policies(conn: Connection, source: int, oids: list[int]) -> tuple[BoundPolicy, ...]:
    """Policies of other tables that read the source or another of the tables."""
    rows = query(conn, "policies_elsewhere.sql", source=source, oids=oids)
    return tuple(BoundPolicy(int(r[0]), TableName(r[8], r[9]), r[10], _make(Policy, r[:8])) for r in rows)


def _group(rows: Rows) -> dict[int, Rows]:
    out: dict[int, Rows] = defaultdict(list)
    for row in rows:
        out[int(row[0])].append(row)
    return out


def structure(oids: sql.Composable) -> sql.Composed:
    """The structure of the tables as rows of (tab, line), for the fingerprint and for naming what drifted. `oids`: an array."""
    files = (load_sql("swap.catalog", f).format(oids=oids) for f in ("structure.sql", "structure_dependents.sql"))
    return sql.SQL("SELECT * FROM ({}) t UNION ALL SELECT * FROM ({}) f").format(*files)


def read_structure(conn: Connection, oids: list[int]) -> list[tuple[str, str]]:
    return [(r[0], r[1]) for r in conn.execute(structure(sql.Literal(oids))).fetchall()]
