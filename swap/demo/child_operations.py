"""What the application does with the rows that refer to users."""

import dataclasses

from psycopg import sql

from swap.demo.ledger import UserRow
from swap.demo.references import CHILD_COLUMNS, child_content
from swap.demo.transaction import Transaction


def add_child(tx: Transaction) -> None:
    table = tx.rng.choice(sorted(CHILD_COLUMNS))
    tx.insert_child(table, tx.new_name()[1], sometimes_nobody(tx, table, any_user(tx)))


def move_child(tx: Transaction) -> None:
    """A reference that changes: to another user, and where it may, to nobody."""
    children = [child for child in tx.children() if child[0].table != "audit_logs"]
    if children:
        child_id, row = tx.rng.choice(children)
        tx.move_child(child_id, row, sometimes_nobody(tx, child_id.table, any_user(tx)))


def touch_child(tx: Transaction) -> None:
    """An update that has nothing to do with keys."""
    children = [child for child in tx.children() if child[0].table != "user_roles"]
    if not children:
        return
    child_id, row = tx.rng.choice(children)
    content = f"touched {tx.rng.randrange(10**6)}"
    token_column, content_column, _ = CHILD_COLUMNS[child_id.table]
    assert content_column is not None
    rows = tx.conn.execute(
        sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
            sql.Identifier("public", child_id.table),
            sql.Identifier(content_column),
            sql.Identifier(token_column),
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
            sql.Identifier("public", table), sql.Identifier(CHILD_COLUMNS[table][0])
        ),
        ([child_id.token for child_id in oldest],),
    ).rowcount
    tx.expect(rows == len(oldest), f"{rows} of {len(oldest)} rows of {table} found")
    for child_id in oldest:
        tx.put_child(child_id, None)


def sometimes_nobody(tx: Transaction, table: str, user: UserRow) -> UserRow | None:
    nullable = table in ("partner_applications", "audit_logs")
    return None if nullable and tx.rng.random() < 0.2 else user


def any_user(tx: Transaction) -> UserRow:
    return tx.rng.choice(tx.users())
