"""References in columns that hold keys of several types as text (`as = "text"`).

The new column is a text: that of the uuid in the rows for which `where` holds and whose value is a key of the source, the old value in
every other row. So it loses nothing, whatever the rows of other types hold, and neither does the old column, which a revert brings
back. The two resolver functions say which key a row has, whether it lives or is gone (swap.ddl.key_mapping).

A value that is written as text must be written as the server writes it: `007` and `{A0EE…}` are no keys, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Statement
from swap.ddl.key_mapping import resolver_names
from swap.ddl.own_triggers import trigger_function
from swap.ddl.pairs import CONSOLIDATED, NO_MORE, Pair, pairs_table, row_applies
from swap.plan.direction import Direction
from swap.plan.model import INTEGERS, Plan, RefColumns

INTEGER = "^(0|-?[1-9][0-9]{0,17})$"
UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def pair_of(plan: Plan, ref: RefColumns, direction: Direction) -> Pair:
    """The pair of a reference of either kind."""
    return TextPair(plan, ref, direction) if ref.text else Pair(plan, ref, direction)


class TextPair(Pair):
    """A reference as text in one direction. Rows are found and made right as those of any pair."""

    @property
    def integers(self) -> bool:
        """Whether the old column is an integer."""
        column = self.plan.catalog.table(self.ref.table).column(self.ref.column)
        return column is not None and column.type in INTEGERS

    @property
    def sides(self) -> tuple[sql.Identifier, sql.Identifier]:
        """The column that leads, and the one that follows."""
        return (self.integer, self.uuid) if self.ahead else (self.uuid, self.integer)

    def key(self) -> sql.Composed:
        """The key that the leading side of the row `r` names, or NULL."""
        leader, _ = self.sides
        return sql.SQL("CASE WHEN r.{l}::pg_catalog.text OPERATOR(pg_catalog.~) {p} AND {applies} THEN r.{l}::pg_catalog.text::{t} END").format(
            l=leader, p=sql.Literal(INTEGER if self.ahead else UUID), applies=row_applies(self.ref),
            t=verbatim("pg_catalog.int8" if self.ahead else "pg_catalog.uuid"),
        )  # fmt: skip

    def _other(self) -> sql.Composed:
        """The other key of the row that it names, as text, or NULL."""
        to_uuid, to_key = resolver_names(self.plan)
        return sql.SQL("{}({})::pg_catalog.text").format((to_uuid if self.ahead else to_key).sql, self.key())

    def value(self) -> sql.Composed:
        """What the side that follows has to hold in the row `r`. An integer that is not known is none."""
        leader, follower = self.sides
        known = sql.SQL("r.{}::pg_catalog.text").format(follower)
        given = sql.SQL("r.{}::pg_catalog.text").format(leader)
        bare = not self.ahead and self.integers
        unknown = sql.SQL("CASE WHEN {} IS NULL THEN {} END").format(self.key(), given) if bare else given
        known = sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(self.key(), known)
        value = sql.SQL("coalesce({}, {}, {})").format(self._other(), known, unknown)
        return value if not bare else sql.SQL("({})::pg_catalog.int8").format(value)

    def rows(self, heap: TableName, values: Sequence[str], more: Query = NO_MORE) -> sql.Composed:
        integer, uuid = sql.SQL("r.{}").format(self.integer), sql.SQL("r.{}").format(self.uuid)
        return load_sql("swap.ddl", "pair_text_rows.sql").format(
            heap=heap.sql, integer=self.integer, uuid=self.uuid, key=self.key(), other=self._other(), among=self._among(values), more=more,
            new_integer=integer if self.ahead else self.value(), new_uuid=self.value() if self.ahead else uuid,
        )  # fmt: skip

    def _among(self, values: Sequence[str]) -> sql.Composed:
        texts = [v for v in values if not self.integers or "-" not in v[1:]]
        kind = verbatim("pg_catalog.int8[]" if self.integers else "pg_catalog.text[]")
        return sql.SQL("(r.{} = ANY ({}::{}) OR r.{} = ANY ({}::pg_catalog.text[]))").format(
            self.integer, sql.Literal(texts), kind, self.uuid, sql.Literal(list(values))
        )

    def repair(self, heap: TableName, limit: int) -> tuple[sql.Composed, sql.Composed]:
        """Make some wrong rows right that no other session holds, and count those that are left. A uuid that the application wrote
        before the cutover is in both columns, and stays."""
        leader, follower = self.sides
        wrong: Query = sql.SQL("r.{}::pg_catalog.text IS DISTINCT FROM ({})::pg_catalog.text").format(follower, self.value())
        if not self.ahead:
            wrong = sql.SQL("{} AND r.{}::pg_catalog.text IS DISTINCT FROM r.{}::pg_catalog.text").format(wrong, follower, leader)
        update = sql.SQL(
            "UPDATE ONLY {t} r SET {f} = {v} WHERE r.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT r.ctid FROM ONLY {t} r WHERE {wrong}"
            " LIMIT {n} FOR UPDATE SKIP LOCKED))"
        ).format(t=heap.sql, f=follower, v=self.value(), wrong=wrong, n=sql.Literal(limit))
        return update, sql.SQL("SELECT count(*) FROM ONLY {} r WHERE {}").format(heap.sql, wrong)


def fill_text(plan: Plan, ref: RefColumns, heap: TableName, free: sql.Composable) -> sql.Composed:
    """Fill the new column in every row that has a value, whatever its type is. `free`: which ctids."""
    pair = TextPair(plan, ref, Direction.FORWARD)
    return sql.SQL("UPDATE ONLY {} r SET {} = {} WHERE r.ctid {}").format(heap.sql, pair.uuid, pair.value(), free)


def note_text_orphans(plan: Plan, ref: RefColumns, heap: TableName, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """As `note_orphans`: the rows whose parent is not there yet."""
    pair = TextPair(plan, ref, Direction.FORWARD)
    return sql.SQL(
        "INSERT INTO {} (number, value, noted, stage) SELECT DISTINCT {}, k.key::text, {}, 'waits' FROM {} r"
        " CROSS JOIN LATERAL (SELECT {} AS key) k WHERE k.key IS NOT NULL AND r.{} IS NULL AND r.ctid >= {}::tid AND r.ctid < {}::tid"
        " AND {}(k.key) IS NULL ORDER BY 2 ON CONFLICT DO NOTHING"
    ).format(
        pairs_table(plan).sql, sql.Literal(ref.number), sql.Literal(CONSOLIDATED), heap.sql, pair.key(), pair.uuid, low, high,
        resolver_names(plan)[0].sql,
    )  # fmt: skip


def text_guard_function(
    plan: Plan, ref: RefColumns, direction: Direction, *, noted: bool, applies: Query, applied: Query
) -> Statement:
    """The guard. `applies`, `applied`: whether `where` holds for the new and for the old row."""
    pair = TextPair(plan, ref, direction)
    leader, follower = pair.sides
    to_uuid, to_key = resolver_names(plan)
    note = load_sql("swap.ddl", "guard_text_note.sql").format(pairs=pairs_table(plan).sql, number=sql.Literal(ref.number))
    unknown = sql.SQL("NULL") if not pair.ahead and pair.integers else sql.SQL("NEW.{}").format(leader)
    return trigger_function(
        plan, ref.table, plan.state(f"guard_{ref.number}_{direction}"), load_sql("swap.ddl", "guard_text.sql"), row_security=True,
        key_type=verbatim("bigint" if pair.ahead else "uuid"), leader=leader, follower=follower,
        pattern=sql.Literal(INTEGER if pair.ahead else UUID), resolver=(to_uuid if pair.ahead else to_key).sql,
        unknown=unknown, noted=note if noted else sql.SQL(""), applies=applies, applied=applied,
    )  # fmt: skip
