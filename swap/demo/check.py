"""Compares the writes that were acknowledged to the workers with the rows of the database, whatever its shape is now.

Every acknowledged write is there once, and no other row is. Each row refers to the right user, by both keys where both exist. Each
user has the keys that it was created with. The rows that belong to no worker are as they were.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from swap.demo.ledger import NO_USER, OUTLIVING, ChildRow, KeyPair, Ledger, UserRow
from swap.demo.references import CHILD_COLUMNS, refers_to
from swap.demo.seeded import differences, summarize
from swap.demo.shape import REFERENCE_COLUMNS, Shape, detect
from swap.demo.values import USER_COLUMNS

if TYPE_CHECKING:
    from swap.demo.load import Load

MOST_DETAILS: Final = 50


@dataclass(frozen=True)
class LedgerReport:
    """Counts of rows. `lost`: acknowledged and not there. `mismatched`: with another content. `mismapped`: with other keys, or with a
    reference to another user. `details`: the first of them in words."""

    acknowledged: int
    lost: int
    duplicated: int
    unexpected: int
    mismatched: int
    mismapped: int
    details: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected or self.mismatched or self.mismapped)


@dataclass
class _Findings:
    counts: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def add(self, kind: str, detail: str, rows: int = 1) -> None:
        self.counts[kind] += rows
        if len(self.details) < MOST_DETAILS:
            self.details.append(f"{kind}: {detail}")


@dataclass(frozen=True)
class _Found:
    """A user of a worker, as the database has it."""

    key: KeyPair
    inviter: KeyPair
    content: dict[str, Any]


def check(conninfo_owner: str, load: "Load") -> LedgerReport:
    """Pause the load, compare, and let it go on. `conninfo_owner`: the owner of the tables, whose rows no policy filters.

    Holds ACCESS SHARE on the tables. Raises RuntimeError for a transaction whose outcome the server does not know yet.
    """
    findings = _Findings()
    with load.quiet():
        _resolve(conninfo_owner, load.ledgers)
        with psycopg.connect(conninfo_owner) as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            conn.execute("SET LOCAL row_security = off")  # an error where a policy would filter
            # Take these locks before the first query, which takes the snapshot: they keep every table under its name.
            tables = sql.SQL(", ").join(sql.Identifier("public", table) for table in REFERENCE_COLUMNS)
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
            shape = detect(conn)
            for ledger, name in zip(load.ledgers, load.names, strict=True):
                users = _read_users(conn, shape, name)
                _compare_users(ledger, users, shape, findings)
                for table in CHILD_COLUMNS:
                    _compare_children(conn, table, name, ledger, users, shape, findings)
            _compare_references(conn, shape, findings)
            if load.seeded is not None:
                for kind, detail in differences(load.seeded, summarize(conn, shape)):
                    findings.add(kind, detail)
        acknowledged = sum(ledger.acknowledged for ledger in load.ledgers)
    kinds = {kind: findings.counts[kind] for kind in ("lost", "duplicated", "unexpected", "mismatched", "mismapped")}
    return LedgerReport(acknowledged=acknowledged, **kinds, details=tuple(findings.details))


def _resolve(conninfo: str, ledgers: Sequence[Ledger]) -> None:
    """Ask for the outcome of each COMMIT whose acknowledgement was lost, where the worker was stopped before it could ask."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for ledger in ledgers:
            if ledger.uncertain is not None and ledger.resolve(conn) is None:
                raise RuntimeError("a transaction whose acknowledgement was lost is still in progress")


def _read_users(conn: psycopg.Connection[TupleRow], shape: Shape, name: str) -> dict[str, _Found]:
    query = sql.SQL("SELECT {}, {}, {} FROM public.users u WHERE u.email LIKE %s").format(
        shape.key.selection("u"),
        shape.references["users"].selection("u"),
        sql.SQL(", ").join(column.read for column in USER_COLUMNS.values()),
    )
    found = {}
    for row in conn.execute(query, (f"{name}-%",)):
        content = dict(zip(USER_COLUMNS, row[4:], strict=True))
        found[content["email"]] = _Found(KeyPair(*row[0:2]), KeyPair(*row[2:4]), content)
    return found


def _compare_users(ledger: Ledger, users: dict[str, _Found], shape: Shape, findings: _Findings) -> None:
    expected = {user.email: user for user in ledger.users.values()}
    for email in users.keys() - expected.keys():
        findings.add("unexpected", f"user {email}")
    for email, user in expected.items():
        found = users.get(email)
        if found is None:
            findings.add("lost", f"user {email}, keys {user.key}")
            continue
        wrong = sorted(name for name, value in user.content.items() if found.content[name] != value)
        if wrong:
            pairs = {name: (user.content[name], found.content[name]) for name in wrong}
            findings.add("mismatched", f"user {email}: (expected, found) {pairs}")
        if not user.key.agrees(found.key):
            findings.add("mismapped", f"user {email}: had the keys {user.key}, now has {found.key}")
        inviter = None if user.inviter is None else ledger.users[user.inviter]
        wanted = _keys_of(inviter, users)
        if wanted is not None and not refers_to(shape.references["users"], found.inviter, wanted):
            findings.add("mismapped", f"user {email}: invited by {found.inviter}, should be {wanted}")


def _compare_children(
    conn: psycopg.Connection[TupleRow],
    table: str,
    name: str,
    ledger: Ledger,
    users: dict[str, _Found],
    shape: Shape,
    findings: _Findings,
) -> None:
    columns = CHILD_COLUMNS[table]
    query = sql.SQL("SELECT {token}, {content}, {pair} FROM {table} c WHERE {token} LIKE %s").format(
        token=sql.Identifier("c", columns.token),
        content=columns.read,
        pair=shape.references[table].selection("c"),
        table=sql.Identifier("public", table),
    )
    rows = conn.execute(query, (f"{name}-%",)).fetchall()
    expected = {child_id.token: row for child_id, row in ledger.children.items() if child_id.table == table}
    times = Counter(token for token, *_ in rows)
    for token in expected.keys() - times.keys():
        findings.add("lost", f"{table} {token}")
    for token in times.keys() - expected.keys():
        findings.add("unexpected", f"{table} {token}")
    for token, count in times.items():
        if count > 1:
            findings.add("duplicated", f"{table} {token}: {count} times", count - 1)
    for token, found, *pair in rows:
        child = expected.get(token)
        if child is None:
            continue
        if found != child.content:
            findings.add("mismatched", f"{table} {token}: expected {child.content!r}, found {found!r}")
        if not _right_owner(table, child, KeyPair(*pair), ledger, users, shape):
            findings.add("mismapped", f"{table} {token}: refers to {KeyPair(*pair)}, should to {child}")


def _right_owner(table: str, child: ChildRow, pair: KeyPair, ledger: Ledger, users: dict[str, _Found], shape: Shape) -> bool:
    if child.owner is not None and child.owner not in ledger.users:
        # The user is deleted, and a row without a foreign key still names it: by one of its keys at least, and by no other key.
        assert table in OUTLIVING
        return pair != NO_USER and pair.agrees(child.owner_key)
    wanted = _keys_of(None if child.owner is None else ledger.users[child.owner], users)
    return wanted is None or refers_to(shape.references[table], pair, wanted)


def _keys_of(owner: UserRow | None, users: dict[str, _Found]) -> KeyPair | None:
    """The keys that a reference to `owner` must hold; None when the owner is lost, which has been reported."""
    if owner is None:
        return NO_USER
    found = users.get(owner.email)
    return None if found is None else found.key


def _compare_references(conn: psycopg.Connection[TupleRow], shape: Shape, findings: _Findings) -> None:
    """The two keys of every reference lead to the same user, in the rows of all workers and in the others."""
    for table, query in _contradictions(shape):
        row = conn.execute(query).fetchone()
        if row is not None and row[0]:
            findings.add("mismapped", f"{table}: {row[0]} rows name two users", row[0])


def _contradictions(shape: Shape) -> Iterator[tuple[str, sql.Composed]]:
    for table, columns in shape.references.items():
        if None in (columns.integer, columns.uuid, shape.key.integer, shape.key.uuid):
            continue
        yield (
            table,
            sql.SQL(
                "SELECT count(*) FROM {table} c LEFT JOIN public.users i ON i.{key_integer} = c.{integer}"
                " LEFT JOIN public.users u ON u.{key_uuid} = c.{uuid} WHERE c.{integer} IS NOT NULL"
                " AND c.{uuid} IS NOT NULL AND i.{key_integer} IS DISTINCT FROM u.{key_integer}"
            ).format(
                table=sql.Identifier("public", table),
                integer=sql.Identifier(str(columns.integer)),
                uuid=sql.Identifier(str(columns.uuid)),
                key_integer=sql.Identifier(str(shape.key.integer)),
                key_uuid=sql.Identifier(str(shape.key.uuid)),
            ),
        )
