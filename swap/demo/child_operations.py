"""Operations of the application on rows that refer to users."""

import dataclasses

from psycopg import sql

from swap.demo.ledger import UserRow
from swap.demo.references import CHILD_COLUMNS, child_content
from swap.demo.transaction import Transaction


def add_child(tx: Transaction) -> None:
    table = tx.rng.choice(sorted(CHILD_COLUMNS))
    tx.insert_child(table, tx.new_name()[1], or_no_user(tx, table, any_user(tx)))


def move_child(tx: Transaction) -> None:
    """Change a reference: to another user, or to none where the column may be NULL."""
    children = [child for child in tx.children() if child[0].table != "audit_logs"]
    if children:
        child_id, row = tx.rng.choice(children)
        tx.move_child(child_id, row, or_no_user(tx, child_id.table, any_user(tx)))


def touch_child(tx: Transaction) -> None:
    """Change no key."""
    children = [child for child in tx.children() if child[0].table != "user_roles"]
    if not children:
        return
    child_id, row = tx.rng.choice(children)
    content = f"touched {tx.rng.randrange(10**6)}"
    columns = CHILD_COLUMNS[child_id.table]
    assert columns.content is not None
    rows = tx.conn.execute(
        sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
            sql.Identifier("public", child_id.table),
            sql.Identifier(columns.content),
            sql.Identifier(columns.token),
        ),
        (child_content(child_id.table, content), child_id.token),
    ).rowcount
    tx.expect(rows == 1, f"{rows} rows of {child_id}")
    tx.put_child(child_id, dataclasses.replace(row, content=content))


def remove_children(tx: Transaction) -> None:
    table = tx.rng.choice(sorted(CHILD_COLUMNS))
    oldest = [child_id for child_id, _ in tx.children(table)][: max(1, len(tx.children(table)) // 3)]
    rows = tx.conn.execute(
        sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(
            sql.Identifier("public", table), sql.Identifier(CHILD_COLUMNS[table].token)
        ),
        ([child_id.token for child_id in oldest],),
    ).rowcount
    tx.expect(rows == len(oldest), f"{rows} of {len(oldest)} rows of {table} found")
    for child_id in oldest:
        tx.put_child(child_id, None)


def or_no_user(tx: Transaction, table: str, user: UserRow) -> UserRow | None:
    """The user; sometimes None, where the reference of the table may be NULL."""
    nullable = table in ("partner_applications", "audit_logs")
    return None if nullable and tx.rng.random() < 0.2 else user


def any_user(tx: Transaction) -> UserRow:
    return tx.rng.choice(tx.users())
