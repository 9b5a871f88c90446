"""The rows of a worker that the database must contain. A write is entered when its COMMIT was acknowledged, and not earlier.

A worker is the only writer of its rows, so the ledger knows exactly what each of them holds. Values are entered as the check reads
them: a long text as its MD5, a numeric as its text, because 1.0 and 1.00 differ.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

Serial = int  # a worker's number for one of its users: emails are exchanged, and keys depend on the shape

CASCADED: Final = frozenset({"sessions", "api_access_tokens", "user_roles"})  # deleted with their user
OUTLIVING: Final = frozenset({"audit_logs"})  # keep the key of a deleted user


class KeyPair(NamedTuple):
    """The two keys of a user; None: not known."""

    integer: int | None = None
    uuid: UUID | None = None

    def agrees(self, other: "KeyPair") -> bool:
        """Whether no key that both know differs. A row keeps a key that it was given."""
        return all(a is None or b is None or a == b for a, b in zip(self, other, strict=True))

    def completed(self, other: "KeyPair") -> "KeyPair":
        return KeyPair(
            other.integer if self.integer is None else self.integer,
            other.uuid if self.uuid is None else self.uuid,
        )


NO_USER: Final = KeyPair()


@dataclass(frozen=True, slots=True)
class UserRow:
    serial: Serial
    key: KeyPair
    content: Mapping[str, Any]
    inviter: Serial | None = None

    @property
    def email(self) -> str:
        return str(self.content["email"])


class ChildId(NamedTuple):
    table: str
    token: str


@dataclass(frozen=True, slots=True)
class ChildRow:
    content: str | None
    owner: Serial | None
    owner_key: KeyPair = NO_USER


@dataclass(slots=True)
class Changes:
    """The changes of the ledger by one transaction. None: a deleted row."""

    users: dict[Serial, UserRow | None] = field(default_factory=dict)
    children: dict[ChildId, ChildRow | None] = field(default_factory=dict)
    writes: int = 0

    def copy(self) -> "Changes":
        return Changes(dict(self.users), dict(self.children), self.writes)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A transaction whose COMMIT was sent and not acknowledged."""

    xid: str
    changes: Changes


@dataclass(slots=True)
class Ledger:
    """The rows of one worker. It has no lock: only its worker changes it, and others read it while the worker is paused."""

    users: dict[Serial, UserRow] = field(default_factory=dict)
    children: dict[ChildId, ChildRow] = field(default_factory=dict)
    acknowledged: int = 0
    uncertain: Uncertain | None = None

    def enter(self, changes: Changes) -> None:
        """Enter the changes of an acknowledged transaction."""
        _merge(self.users, changes.users)
        _merge(self.children, changes.children)
        self.acknowledged += changes.writes

    def resolve(self, conn: psycopg.Connection[TupleRow]) -> bool | None:
        """Ask the server for the outcome of the uncertain transaction: whether it committed, or None while it is in progress."""
        if self.uncertain is None:
            return False
        status = _xact_status(conn, self.uncertain.xid)
        if status == "in progress":
            return None
        if status == "committed":
            self.enter(self.uncertain.changes)
        self.uncertain = None
        return status == "committed"

    def forget_uuids(self) -> None:
        """Forget every uuid: the column is gone (`swap abort` of a run that had added it), and the next one will hold others."""
        for serial, user in self.users.items():
            self.users[serial] = dataclasses.replace(user, key=KeyPair(user.key.integer))
        for child_id, child in self.children.items():
            self.children[child_id] = dataclasses.replace(child, owner_key=KeyPair(child.owner_key.integer))


_Key = TypeVar("_Key")
_Row = TypeVar("_Row")


def _merge(rows: dict[_Key, _Row], changes: Mapping[_Key, _Row | None]) -> None:
    for key, row in changes.items():
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row


def _xact_status(conn: psycopg.Connection[TupleRow], xid: str) -> str:
    try:
        row = conn.execute("SELECT pg_xact_status(%s::xid8)", (xid,)).fetchone()
    except errors.InvalidParameterValue:
        # "transaction ID is in the future": a standby was promoted that never received it.
        return "aborted"
    if row is None or row[0] is None:
        raise RuntimeError(f"the server has forgotten what became of transaction {xid}")
    return str(row[0])
