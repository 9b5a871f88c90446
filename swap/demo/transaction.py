"""One attempt of one operation: it writes to the database in the current shape, and collects the changes of the ledger.

Every write returns the keys, and compares them with those of the ledger. So the statement that meets a stale shape, a missing row or
a changed key notices it.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from swap.demo.ledger import (
    CASCADED,
    NO_USER,
    OUTLIVING,
    Changes,
    ChildId,
    ChildRow,
    KeyPair,
    Ledger,
    Serial,
    UserRow,
)
from swap.demo.references import (
    CHILD_COLUMNS,
    assignments,
    child_content,
    equals,
    identifiers,
    placeholder,
    placeholders,
    refers_to,
)
from swap.demo.shape import Shape
from swap.demo.values import ORGANIZATIONS, remember


class ShapeChanged(Exception):
    """The result of a write shows another shape: read the shape again and retry."""


class WrongRow(Exception):
    """A row of the ledger is missing or different: stale in an old snapshot, lost in READ COMMITTED."""


class Transaction:
    """`rng` draws what is done: the same for every attempt. `how` draws only the way in which it is written."""

    def __init__(
        self,
        conn: psycopg.Connection[TupleRow],
        shape: Shape,
        ledger: Ledger,
        rng: random.Random,
        how: random.Random,
        new_name: Callable[[], tuple[Serial, str]],
    ) -> None:
        self.conn, self.shape, self.rng, self.new_name = conn, shape, rng, new_name
        self.changes = Changes()
        self._how = how
        self._ledger = ledger

    # The ledger as it will be if this attempt commits.

    def users(self) -> list[UserRow]:
        rows = self._ledger.users | self.changes.users
        return [row for row in rows.values() if row is not None]

    def children(self, table: str | None = None) -> list[tuple[ChildId, ChildRow]]:
        rows = self._ledger.children | self.changes.children
        return [(k, row) for k, row in rows.items() if row is not None and (table is None or k.table == table)]

    def user(self, serial: Serial) -> UserRow:
        return self.changes.users.get(serial) or self._ledger.users[serial]

    # Users.

    def insert_user(self, values: Mapping[str, Any], serial: Serial) -> UserRow:
        columns = {**values, "organization_id": self.rng.randint(1, ORGANIZATIONS)}
        query = sql.SQL("INSERT INTO public.users ({}) VALUES ({}) RETURNING {}").format(
            identifiers(columns), placeholders(columns), self.shape.key.selection()
        )
        key = self._one(query, list(columns.values()), "the inserted user")
        row = UserRow(serial, KeyPair(*key), remember(values))
        self.put_user(row)
        return row

    def put_user(self, row: UserRow, writes: int = 1) -> None:
        self.changes.users[row.serial] = row
        self.changes.writes += writes

    def update_user(self, row: UserRow, values: Mapping[str, Any]) -> UserRow:
        """Set the columns, and increment the row's revision."""
        where, key = self.where(row)
        query = sql.SQL("UPDATE public.users SET {}, revision = revision + 1 WHERE {} RETURNING revision, {}").format(
            assignments({name: placeholder(name) for name in values}), where, self.shape.key.selection()
        )
        revision, *pair = self._one(query, [*values.values(), key], row.email)
        row = self.known(row, KeyPair(*pair))
        self.expect(revision == row.content["revision"] + 1, f"{row.email} was at revision {revision - 1}")
        row = dataclasses.replace(row, content={**row.content, **remember(values), "revision": revision})
        self.put_user(row)
        return row

    def invite(self, row: UserRow, inviter: UserRow | None) -> None:
        where, key = self.where(row)
        columns, values = self._reference("users", inviter, moved=True)
        query = sql.SQL("UPDATE public.users SET {} WHERE {} RETURNING {}").format(
            assignments(columns), where, self.shape.references["users"].selection()
        )
        pair = self._one(query, [*values, key], row.email)
        self._expect_reference("users", KeyPair(*pair), inviter)
        row = self.user(row.serial)  # with a key that was read just now
        self.put_user(dataclasses.replace(row, inviter=None if inviter is None else inviter.serial))

    def delete_user(self, row: UserRow) -> None:
        where, key = self.where(row)
        query = sql.SQL("DELETE FROM public.users WHERE {} RETURNING {}").format(where, self.shape.key.selection())
        self.known(row, KeyPair(*self._one(query, [key], row.email)))
        self.changes.users[row.serial] = None
        self.changes.writes += 1
        for child_id, child in self.children():
            if child.owner == row.serial and child_id.table not in OUTLIVING:
                orphan = None if child_id.table in CASCADED else dataclasses.replace(child, owner=None)
                self.changes.children[child_id] = orphan
        for invited in self.users():
            if invited.inviter == row.serial:
                self.put_user(dataclasses.replace(invited, inviter=None), writes=0)

    # Rows that refer to users.

    def insert_child(self, table: str, token: str, owner: UserRow | None) -> None:
        names = CHILD_COLUMNS[table]
        content = None if names.content is None else f"made {self.rng.randrange(10**6)}"
        columns, values = self._reference(table, owner, moved=False)
        fixed: dict[str, Any] = {names.token: token}
        if names.content is not None:
            fixed[names.content] = child_content(table, content)
        if table == "audit_logs":
            fixed["actor_type"] = "System" if owner is None else "User"
        query = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            sql.Identifier("public", table),
            sql.SQL(", ").join([identifiers(fixed), *(sql.Identifier(name) for name in columns)]),
            sql.SQL(", ").join([placeholders(fixed), *columns.values()]),
            self.shape.references[table].selection(),
        )
        pair = self._one(query, [*fixed.values(), *values], token)
        self._expect_reference(table, KeyPair(*pair), owner)
        self.put_child(ChildId(table, token), ChildRow(content, *_owner(owner)))

    def put_child(self, child_id: ChildId, row: ChildRow | None) -> None:
        self.changes.children[child_id] = row
        self.changes.writes += 1

    def move_child(self, child_id: ChildId, row: ChildRow, owner: UserRow | None) -> None:
        columns, values = self._reference(child_id.table, owner, moved=True)
        query = sql.SQL("UPDATE {} SET {} WHERE {} = %s RETURNING {}").format(
            sql.Identifier("public", child_id.table),
            assignments(columns),
            sql.Identifier(CHILD_COLUMNS[child_id.table].token),
            self.shape.references[child_id.table].selection(),
        )
        pair = self._one(query, [*values, child_id.token], child_id.token)
        self._expect_reference(child_id.table, KeyPair(*pair), owner)
        self.put_child(child_id, ChildRow(row.content, *_owner(owner)))

    # Keys.

    def where(self, row: UserRow) -> tuple[sql.Composed, Any]:
        """A condition that finds the user, by email or by a key that it has in this shape; and the parameter."""
        columns = self.shape.key
        pair = self.key_of(row)
        ways: list[tuple[sql.Composed, Any]] = [(sql.SQL("email = %s").format(), row.email)]
        if columns.integer is not None and pair.integer is not None:
            ways.append((equals(columns.integer, sql.SQL("bigint")), pair.integer))
        if columns.uuid is not None and pair.uuid is not None:
            ways.append((equals(columns.uuid, sql.SQL("uuid")), pair.uuid))
        return self._how.choice(ways)

    def key_of(self, row: UserRow) -> KeyPair:
        """The user's keys. Reads a key from the row that the shape has and the ledger does not know yet."""
        columns, known = self.shape.key, self.user(row.serial).key
        if (known.integer is None and columns.integer) or (known.uuid is None and columns.uuid):
            query = sql.SQL("SELECT {} FROM public.users WHERE email = %s").format(columns.selection())
            pair = KeyPair(*self._one(query, [row.email], row.email))
            known = self.known(self.user(row.serial), pair).key
        return known

    def known(self, row: UserRow, pair: KeyPair) -> UserRow:
        """The row with the keys that were read just now. They must not differ from those that were known."""
        before = self.user(row.serial).key
        self.expect(before.agrees(pair), f"{row.email} had the keys {before} and now has {pair}")
        row = dataclasses.replace(row, key=before.completed(pair))
        self.changes.users[row.serial] = dataclasses.replace(self.user(row.serial), key=row.key)
        return row

    def expect(self, truth: bool, otherwise: str) -> None:
        if not truth:
            raise WrongRow(otherwise)

    def _one(self, query: sql.Composed, params: Sequence[Any], what: str) -> TupleRow:
        rows = self.conn.execute(query, params).fetchall()
        self.expect(len(rows) == 1, f"{len(rows)} rows where one was expected: {what}")
        return rows[0]

    def _reference(self, table: str, owner: UserRow | None, *, moved: bool) -> tuple[dict[str, sql.Composed], list[Any]]:
        """What to write so that a row of `table` refers to `owner`: placeholders by column, and their parameters."""
        columns = self.shape.references[table]
        pair = NO_USER if owner is None else self.key_of(owner)
        both = [
            (name, type_name, value)
            for name, type_name, value in (
                (columns.integer, sql.SQL("bigint"), pair.integer),
                (columns.uuid, sql.SQL("uuid"), pair.uuid),
            )
            if name is not None
        ]
        filled = [side for side in both if side[2] is not None]
        ways = [both]
        if owner is not None:
            # One side is enough where a trigger fills the other. Without one, a new row may leave the uuid NULL, as an incomplete
            # dual write does. A moved row must not keep the uuid of its former owner.
            if columns.guarded and not columns.is_uuid:
                ways += [[side] for side in filled]
            elif columns.guarded or not moved:
                ways += [[side] for side in filled if side[0] == columns.base]
        chosen = self._how.choice(ways)
        return (
            {name: sql.SQL("%s::{}").format(type_name) for name, type_name, _ in chosen},
            [value for _, _, value in chosen],
        )

    def _expect_reference(self, table: str, pair: KeyPair, owner: UserRow | None) -> None:
        """The base column must hold the owner's key, and the other column the owner's other key, or NULL. Raises ShapeChanged."""
        wanted = NO_USER if owner is None else self.key_of(owner)
        if not refers_to(self.shape.references[table], pair, wanted):
            raise ShapeChanged(f"{table} came out with {pair} where {wanted} was written")


def _owner(owner: UserRow | None) -> tuple[Serial | None, KeyPair]:
    return (None, NO_USER) if owner is None else (owner.serial, owner.key)
