"""The shop: `shop.py create` makes its tables and some rows, `shop.py serve` runs its requests until stdin ends."""

from __future__ import annotations

import os
import sys
import uuid
from random import Random
from typing import Any

from sqlalchemy import create_engine, delete, insert, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, selectinload

from tests.apps.sqlalchemy_shop.models import RELEASE, Base, Customer, Membership, Message, Order
from tests.apps.traffic import serve

CUSTOMERS = 400
# Behind a pooler in transaction mode no prepared statement outlives its transaction.
PREPARED = {} if os.environ.get("PREPARED") else {"prepare_threshold": None}
engine = create_engine(os.environ["DSN"].replace("postgresql://", "postgresql+psycopg://"), pool_size=4, connect_args=PREPARED)


def create() -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as db, db.begin():
        db.add_all(Customer(email=f"customer{n}@example.org") for n in range(CUSTOMERS))
        db.flush()
        keys = db.scalars(select(Customer.key)).all()
        db.execute(insert(Order), [{"customer_key": k, "total": 5} for k in keys])
        db.execute(insert(Membership), [{"customer_key": k, "team": "all"} for k in keys])


def somebody(db: Session, chance: Random) -> Customer:
    """One of those who stay."""
    email = f"customer{chance.randrange(CUSTOMERS)}@example.org"
    return db.scalars(select(Customer).where(Customer.email == email)).one()


def sign_up_and_leave(chance: Random) -> None:
    email = f"{uuid.uuid4()}@example.org"
    with Session(engine) as db, db.begin():
        customer = Customer(email=email)
        db.add(customer)
        db.flush()
        db.add_all([Membership(customer_key=customer.key, team="new"), Message(sender=customer, body="hello")])
        key = customer.key
    with Session(engine) as db, db.begin():
        assert db.get_one(Customer, key).email == email
    with Session(engine) as db, db.begin():
        db.delete(db.get_one(Customer, key))
    with Session(engine) as db:
        assert db.get(Customer, key) is None
        assert db.scalars(select(Message).where(Message.sender_key == key)).all() == []


def order(chance: Random) -> None:
    with Session(engine) as db, db.begin():
        customer = somebody(db, chance)
        customer.orders.append(Order(total=chance.randrange(100)))
        db.flush()
        db.execute(update(Customer).where(Customer.key == customer.key).values(points=Customer.points + 1))


def read_pages(chance: Random) -> None:
    """Keyset pages, newest first: by time and then by key, as the order of uuids says nothing about time."""
    with Session(engine) as db:
        seen, last = [], None
        for _ in range(3):
            page = select(Customer).order_by(Customer.created_at.desc(), Customer.key.desc()).limit(20)
            if last is not None:
                page = page.where(tuple_(Customer.created_at, Customer.key) < (last.created_at, last.key))
            found = db.scalars(page.options(selectinload(Customer.orders))).all()
            seen += [c.email for c in found]
            last = found[-1]
        assert len(seen) == len(set(seen)) == 60


def write_message(chance: Random) -> None:
    with Session(engine) as db, db.begin():
        a, b = somebody(db, chance), somebody(db, chance)
        db.add(Message(sender=a, recipient=b, body="a"))
    with Session(engine) as db, db.begin():
        a = db.merge(a)
        found = db.scalars(select(Message).where(or_(Message.sender_key == a.key, Message.recipient_key == a.key)).limit(5)).all()
        assert found
        assert all(m.sender.email for m in found)


def lock_and_count(chance: Random) -> None:
    with Session(engine) as db, db.begin():
        key = somebody(db, chance).key
        locked = db.scalars(select(Customer).where(Customer.key == key).with_for_update()).one()
        locked.points += 1


def join_team(chance: Random) -> None:
    """An upsert whose target is a unique key with the reference."""
    with Session(engine) as db, db.begin():
        values = {"customer_key": somebody(db, chance).key, "team": f"team{chance.randrange(5)}"}
        statement = (
            upsert(Membership).values(values).on_conflict_do_nothing(index_elements=[Membership.customer_key, Membership.team])
        )
        db.execute(statement)
        db.execute(delete(Membership).where(Membership.customer_key == values["customer_key"], Membership.team == values["team"]))


def old_link(chance: Random) -> None:
    """A link with an integer, given out before the cutover."""
    number = chance.randrange(CUSTOMERS) + 1
    with Session(engine) as db:
        customer: Any = db.get_one(Customer, number if RELEASE == "integer" else resolve(db, number))
        assert customer.email == f"customer{number - 1}@example.org"


def resolve(db: Session, number: int) -> Any:
    """`swap.customers_uuid` answers in every phase until `finalize`; after it the table's own column tells."""
    if RELEASE == "compat":
        return db.scalar(text("SELECT swap.customers_uuid(:n)"), {"n": number})
    return db.scalar(text("SELECT id FROM customers WHERE legacy_id = :n"), {"n": number})


REQUESTS = (sign_up_and_leave, order, read_pages, write_message, lock_and_count, join_team, old_link)

if __name__ == "__main__":
    if sys.argv[1] == "create":
        create()
    else:
        serve(REQUESTS)
    engine.dispose()
