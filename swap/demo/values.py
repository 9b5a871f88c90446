"""The columns of a user that the load writes, how the ledger remembers each of them, and random values that are hard to copy."""

import hashlib
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from psycopg import sql
from psycopg.types.json import Jsonb


class Column(NamedTuple):
    """`read`: the expression that check() compares. `remember`: computes its value from the value that was written."""

    read: sql.SQL
    remember: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _decimal_text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _md5(value: str | bytes | None) -> str | None:
    if value is None:
        return None
    return hashlib.md5(value.encode() if isinstance(value, str) else value, usedforsecurity=False).hexdigest()


def _json(value: Jsonb) -> Any:
    return value.obj


USER_COLUMNS: Final[Mapping[str, Column]] = {
    "email": Column(sql.SQL("u.email"), _same),
    "handle": Column(sql.SQL("u.handle"), _same),
    "referral_code": Column(sql.SQL("u.referral_code"), _same),
    "status": Column(sql.SQL("u.status::text"), _same),
    "active": Column(sql.SQL("u.active"), _same),
    "balance": Column(sql.SQL("u.balance::text"), _decimal_text),
    "score": Column(sql.SQL("u.score::text"), _decimal_text),
    "login_count": Column(sql.SQL("u.login_count"), _same),
    "preferences": Column(sql.SQL("u.preferences"), _json),
    "tags": Column(sql.SQL("u.tags"), _same),
    "bio": Column(sql.SQL("md5(u.bio)"), _md5),
    "avatar": Column(sql.SQL("md5(u.avatar)"), _md5),
    "born_on": Column(sql.SQL("u.born_on"), _same),
    "last_seen_at": Column(sql.SQL("u.last_seen_at"), _same),
    "revision": Column(sql.SQL("u.revision"), _same),
    "deleted_at": Column(sql.SQL("u.deleted_at"), _same),
}

ORGANIZATIONS: Final = 20


def remember(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as `USER_COLUMNS` will read them back."""
    return {name: USER_COLUMNS[name].remember(value) for name, value in values.items()}


def new_user(rng: random.Random, name: str) -> dict[str, Any]:
    """Values for all columns of a user that are written. `name` is in those that must be unique."""
    return {
        "email": f"{name}@example.com",
        "handle": rng.choice([None, f"Handle-{name}"]),
        "referral_code": f"code-{name}",
        "revision": 0,
        "login_count": rng.randrange(100),
        "deleted_at": None,
        **{column: draw(rng) for column, draw in DRAWS.items()},
    }


def _balance(rng: random.Random) -> Decimal:
    return Decimal(rng.randrange(-99_999, 10_000_000)).scaleb(-2)


def _score(rng: random.Random) -> Decimal | None:
    # 1, 1.0, 1.00 and 1.000: equal for PostgreSQL, yet not the same value.
    scale = rng.randrange(4)
    return rng.choice([None, Decimal(rng.choice([0, 1, 17])).quantize(Decimal(1).scaleb(-scale))])


def _preferences(rng: random.Random) -> Jsonb:
    return Jsonb(rng.choice([{}, [], {"theme": "dark", "n": rng.randrange(9), "a": {"b": [None, True, "ü"]}}, "text"]))


def _tags(rng: random.Random) -> list[str | None] | None:
    choices: list[list[str | None] | None] = [None, [], ["a", None, "NULL", "", '"q",{}'], ["one"]]
    return rng.choice(choices)


def _bio(rng: random.Random) -> str | None:
    # The third is stored out of line: hex digits of random bytes do not compress below the TOAST threshold.
    return rng.choice([None, "", rng.randbytes(3000).hex(), "short \t\n\\N ", f"{rng.random()}"])


def _avatar(rng: random.Random) -> bytes | None:
    return rng.choice([None, b"", rng.randbytes(16), b"\x00\xff"])


def _born_on(rng: random.Random) -> date | None:
    return rng.choice([None, date(1950, 1, 1) + timedelta(days=rng.randrange(20_000))])


def _last_seen_at(rng: random.Random) -> datetime | None:
    return rng.choice([None, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=rng.randrange(10**12))])


DRAWS: Final[Mapping[str, Callable[[random.Random], Any]]] = {
    "status": lambda rng: rng.choice(["invited", "active", "suspended"]),
    "active": lambda rng: rng.random() < 0.5,
    "balance": _balance,
    "score": _score,
    "preferences": _preferences,
    "tags": _tags,
    "bio": _bio,
    "avatar": _avatar,
    "born_on": _born_on,
    "last_seen_at": _last_seen_at,
}
