"""The operations of the application: one function for each, drawn by weight.

A function draws only from `tx.rng` and from the ledger, never from the shape: an attempt that is repeated in another shape is the
same operation then.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from psycopg import sql

from swap.demo.child_operations import (
    add_child,
    any_user,
    move_child,
    or_no_user,
    remove_children,
    touch_child,
)
from swap.demo.ledger import KeyPair, UserRow
from swap.demo.references import CHILD_COLUMNS
from swap.demo.transaction import Transaction
from swap.demo.values import DRAWS, USER_COLUMNS, new_user, remember

Operation = Callable[[Transaction], None]

FEWEST_USERS: Final = 120  # with fewer a worker only adds: bulk updates need a hundred rows
MOST_USERS: Final = 500  # with more a worker only removes: the table does not grow without end
MOST_CHILDREN: Final = 3000
BULK_ROWS: Final = (100, 500)
OTHERS: Final = 20  # how many other users one asks for whom it may not see


def create_user(tx: Transaction) -> None:
    serial, name = tx.new_name()
    user = tx.insert_user(new_user(tx.rng, name), serial)
    if tx.rng.random() < 0.6:
        for table in CHILD_COLUMNS:
            tx.insert_child(table, tx.new_name()[1], or_no_user(tx, table, user))


def import_users(tx: Transaction) -> None:
    """COPY into a temporary table, and INSERT from it: PostgreSQL has no COPY FROM into a table with row security."""
    named = [tx.new_name() for _ in range(tx.rng.randint(20, 60))]
    rows = {serial: new_user(tx.rng, name) for serial, name in named}
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in USER_COLUMNS)
    tx.conn.execute(
        sql.SQL(
            "CREATE TEMP TABLE IF NOT EXISTS imported ON COMMIT DELETE ROWS AS"
            " SELECT {}, organization_id FROM public.users WITH NO DATA"
        ).format(columns)
    )
    with (
        tx.conn.cursor() as cursor,
        cursor.copy(sql.SQL("COPY pg_temp.imported ({}) FROM STDIN").format(columns)) as copy,
    ):
        for values in rows.values():
            copy.write_row([values[name] for name in USER_COLUMNS])
    keys = tx.conn.execute(
        sql.SQL("INSERT INTO public.users ({}, organization_id) SELECT {}, 1 FROM pg_temp.imported RETURNING email, {}").format(
            columns, columns, tx.shape.key.selection()
        )
    ).fetchall()
    tx.expect(len(keys) == len(rows), f"{len(rows)} rows copied, {len(keys)} inserted")
    pairs = {email: pair for email, *pair in keys}
    for serial, values in rows.items():
        key = KeyPair(*pairs[values["email"]])
        tx.put_user(UserRow(serial, key, remember(values)))


def change_user(tx: Transaction) -> None:
    """Change a few columns: to or from NULL, out-of-line values, 1.0 to 1.00."""
    names = tx.rng.sample(sorted(DRAWS), tx.rng.randint(1, 4))
    tx.update_user(any_user(tx), {name: DRAWS[name](tx.rng) for name in names})


def change_as_self(tx: Transaction) -> None:
    """Work as the user: row security shows it only its own rows, by the integer in the session's setting.

    It asks for rows by an index, as an application does. Seen: a scan of a million users keeps both cores busy with policies alone.
    """
    user = any_user(tx)
    key = tx.key_of(user)
    if key.integer is None or tx.shape.key.integer is None:
        tx.update_user(user, {"active": True})
        return
    tx.conn.execute(
        "SELECT set_config('app.service', '', true), set_config('app.current_user_id', %s, true)",
        (str(key.integer),),
    )
    asked = [user.email, *(other.email for other in tx.rng.sample(tx.users(), OTHERS))]
    visible = tx.conn.execute("SELECT email FROM public.users WHERE email = ANY(%s)", (asked,)).fetchall()
    tx.expect(visible == [(user.email,)], f"{user.email} sees {visible}")
    tx.update_user(user, {"preferences": DRAWS["preferences"](tx.rng)})
    tx.insert_child("sessions", tx.new_name()[1], user)


def exchange_codes(tx: Transaction) -> None:
    """Exchange two unique values in one statement. The constraint is deferrable, so the server checks it at the statement's end."""
    a, b = tx.rng.sample(tx.users(), 2)
    rows = tx.conn.execute(
        "UPDATE public.users SET revision = revision + 1,"
        " referral_code = CASE email WHEN %s THEN %s ELSE %s END WHERE email IN (%s, %s)",
        (a.email, b.content["referral_code"], a.content["referral_code"], a.email, b.email),
    ).rowcount
    tx.expect(rows == 2, f"{rows} of {a.email} and {b.email} found")
    for user, code in ((a, b.content["referral_code"]), (b, a.content["referral_code"])):
        tx.put_user(_with(user, referral_code=code, revision=user.content["revision"] + 1))


def exchange_emails(tx: Transaction) -> None:
    """Exchange two unique values through a third one: a plain unique index is checked row by row."""
    a, b = tx.rng.sample(tx.users(), 2)
    parked = tx.update_user(a, {"email": f"{tx.new_name()[1]}@example.com"})
    tx.update_user(b, {"email": a.email})
    tx.update_user(parked, {"email": b.email})


def upsert(tx: Transaction) -> None:
    """INSERT ... ON CONFLICT DO UPDATE, of an existing user or of a new one."""
    balance = DRAWS["balance"](tx.rng)
    serial, name = tx.new_name()
    user = any_user(tx) if tx.rng.random() < 0.6 else None
    email = f"{name}@example.com" if user is None else user.email
    query = sql.SQL(
        "INSERT INTO public.users AS u (organization_id, email, balance) VALUES (1, %s, %s)"
        " ON CONFLICT (email) DO UPDATE SET balance = excluded.balance, revision = u.revision + 1"
        " RETURNING revision, {}"
    ).format(tx.shape.key.selection("u"))
    row = tx.conn.execute(query, (email, balance)).fetchone()
    assert row is not None
    key = KeyPair(*row[1:])
    if user is None:
        tx.expect(row[0] == 0, f"{email} existed before it was inserted")
        defaults = dict.fromkeys(USER_COLUMNS) | remember(
            {"email": email, "balance": balance, "revision": 0, "login_count": 0, "status": "active"}
        )
        tx.put_user(UserRow(serial, key, defaults | {"active": True, "preferences": {}}))
    else:
        tx.expect(row[0] == user.content["revision"] + 1, f"{email} was at revision {row[0] - 1}")
        user = tx.known(user, key)
        tx.put_user(_with(user, revision=row[0], **remember({"balance": balance})))


def bulk_update(tx: Transaction) -> None:
    users = tx.users()
    chosen = tx.rng.sample(users, min(len(users), tx.rng.randint(*BULK_ROWS)))
    rows = tx.conn.execute(
        "UPDATE public.users SET login_count = login_count + 1, revision = revision + 1 WHERE email = ANY(%s)",
        ([user.email for user in chosen],),
    ).rowcount
    tx.expect(rows == len(chosen), f"{rows} of {len(chosen)} users found")
    for user in chosen:
        counted = {name: user.content[name] + 1 for name in ("login_count", "revision")}
        tx.put_user(_with(user, **counted))


def roll_back_to_savepoint(tx: Transaction) -> None:
    """Write rows, undo that, and write them in another way."""
    user = any_user(tx)
    before = tx.changes.copy()
    tx.conn.execute("SAVEPOINT undone")
    tx.update_user(user, {"bio": "never", "balance": DRAWS["balance"](tx.rng)})
    create_user(tx)
    delete_user(tx)
    tx.conn.execute("ROLLBACK TO SAVEPOINT undone")
    tx.changes = before
    tx.update_user(user, {"score": DRAWS["score"](tx.rng)})


def set_inviter(tx: Transaction) -> None:
    user, inviter = tx.rng.sample(tx.users(), 2)
    tx.invite(user, inviter if tx.rng.random() < 0.8 else None)


def delete_user(tx: Transaction) -> None:
    """Sessions, tokens and roles are deleted by cascade; partner applications stay without an owner."""
    tx.delete_user(any_user(tx))


def delete_users(tx: Transaction) -> None:
    for user in tx.rng.sample(tx.users(), 10):
        tx.delete_user(user)


def read_back(tx: Transaction) -> None:
    """Read a row and its sessions: they are there, as they were written."""
    user = any_user(tx)
    where, key = tx.where(user)
    columns = sql.SQL(", ").join(column.read for column in USER_COLUMNS.values())
    rows = tx.conn.execute(sql.SQL("SELECT {} FROM public.users u WHERE {}").format(columns, where), (key,))
    found = [dict(zip(USER_COLUMNS, row, strict=True)) for row in rows]
    tx.expect(found == [user.content], f"{user.email} should read {user.content}, reads {found}")
    tokens = tx.conn.execute(
        sql.SQL("SELECT s.token FROM public.users u JOIN public.sessions s ON s.user_id = u.id WHERE u.email = %s"),
        (user.email,),
    ).fetchall()
    wanted = {child_id.token for child_id, row in tx.children("sessions") if row.owner == user.serial}
    tx.expect({token for (token,) in tokens} == wanted, f"{user.email} should have {wanted}, has {tokens}")


WEIGHTS: Final[Mapping[Operation, int]] = {
    create_user: 14,
    import_users: 2,
    change_user: 20,
    change_as_self: 6,
    exchange_codes: 5,
    exchange_emails: 5,
    upsert: 7,
    bulk_update: 2,
    roll_back_to_savepoint: 5,
    set_inviter: 6,
    add_child: 8,
    move_child: 8,
    touch_child: 6,
    remove_children: 1,
    delete_user: 5,
    read_back: 6,
}


def draw(rng: random.Random, users: int, children: int) -> Operation:
    """The next operation of a worker that has so many rows."""
    if users < FEWEST_USERS:
        return import_users
    if users > MOST_USERS:
        return delete_users
    if children > MOST_CHILDREN:
        return remove_children
    return rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def _with(user: UserRow, **content: Any) -> UserRow:
    return dataclasses.replace(user, content={**user.content, **content})
