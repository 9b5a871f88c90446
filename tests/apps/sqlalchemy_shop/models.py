"""A shop's tables in three releases, chosen by RELEASE: the same classes, the key under another name and type.

`integer`  customers.id bigint, orders.customer_id bigint
`compat`   customers.uuid_id uuid, orders.customer_uuid_id: names that hold from `sync` to `finalize`, over a revert too
`uuid`     customers.id uuid, orders.customer_id uuid: from the last cutover on

Only `key` and `reference` know. `attributes` have one name throughout, so no query says which release it is.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

RELEASE = os.environ["RELEASE"]
NAMES = {"integer": ("id", "{}_id"), "compat": ("uuid_id", "{}_uuid_id"), "uuid": ("id", "{}_id")}
KEY, REFERENCE = NAMES[RELEASE]
Key: Any = BigInteger if RELEASE == "integer" else Uuid


class Base(DeclarativeBase):
    pass


def key() -> Any:
    """The primary key: a sequence's for an integer, else the application's own uuid, which it knows before the INSERT."""
    return mapped_column(KEY, Key, primary_key=True, **({} if RELEASE == "integer" else {"default": uuid.uuid4}))


def reference(name: str, **more: Any) -> Any:
    return mapped_column(REFERENCE.format(name), Key, ForeignKey(f"customers.{KEY}", ondelete="CASCADE"), **more)


def now() -> Any:
    return mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))


class Customer(Base):
    __tablename__ = "customers"
    key: Mapped[Any] = key()
    email: Mapped[str] = mapped_column(Text, unique=True)
    points: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = now()
    orders: Mapped[list[Order]] = relationship(back_populates="customer", passive_deletes=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    customer_key: Mapped[Any] = reference("customer", nullable=False, index=True)
    total: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = now()
    customer: Mapped[Customer] = relationship(back_populates="orders")


class Message(Base):
    """Two references in one table."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sender_key: Mapped[Any] = reference("sender", nullable=False, index=True)
    recipient_key: Mapped[Any] = reference("recipient", nullable=True, index=True)
    body: Mapped[str] = mapped_column(Text)
    sender: Mapped[Customer] = relationship(foreign_keys=[sender_key])
    recipient: Mapped[Customer | None] = relationship(foreign_keys=[recipient_key])


class Membership(Base):
    """A reference in a primary key."""

    __tablename__ = "memberships"
    customer_key: Mapped[Any] = reference("customer", primary_key=True)
    team: Mapped[str] = mapped_column(Text, primary_key=True)
