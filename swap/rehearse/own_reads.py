"""Production's own SELECTs as a part of the load, run as they are where the server needs nothing but keys and numbers for them.

pg_stat_statements keeps no values. The server says what type each parameter has: a parameter of the key's type gets a key, another
integer a small number. A statement with any other parameter is planned (swap.rehearse.statements) and not run. Each is tried once for
every shape of the tables, in a transaction that may only read; one that fails is left out, for planning it says why.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import local_timeout, verbatim

MOST = 20
SMALL = 20  # for LIMIT, and for an integer that is no key
PATIENCE_MS = 2000
NUMBERS = {"bigint", "integer", "smallint"}
COUNTED = re.compile(r"\b(?:limit|offset)\s+\$(\d+)", re.IGNORECASE)
NAME = "rehearsal_read"


@dataclass(frozen=True)
class OwnRead:
    """A statement, and which of its parameters are keys."""

    text: str
    keys: tuple[bool, ...]

    def run(self, conn: Connection, dice: random.Random, keys: Sequence[str]) -> None:
        """Raises psycopg's errors."""
        values = [dice.choice(keys) if is_key else str(dice.randrange(1, SMALL)) for is_key in self.keys]
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            psycopg.RawCursor(conn).execute(self.text.encode(), values)


def usable(conn: Connection, texts: Iterable[str], key_type: str, keys: Sequence[str]) -> list[OwnRead]:
    """Those that run with keys and numbers, on the tables as they are now. `key_type`: of the source's key."""
    found: list[OwnRead] = []
    for text in texts:
        if len(found) == MOST or not keys:
            break
        try:
            read = _described(conn, text, key_type)
            if read is not None:
                with conn.transaction():
                    conn.execute(local_timeout("statement_timeout", PATIENCE_MS))
                    read.run(conn, random.Random(0), keys)  # noqa: S311 - which key is no secret
                found.append(read)
        except psycopg.Error:
            if conn.closed:
                raise
    return found


def _described(conn: Connection, text: str, key_type: str) -> OwnRead | None:
    """None where a parameter is neither a key nor a number."""
    conn.execute(verbatim(f"PREPARE {NAME} AS {text}"))
    try:
        row = conn.execute("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = %s", [NAME]).fetchone()
    finally:
        conn.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(NAME)))
    types = row[0] if row else []
    if not set(types) <= NUMBERS | {key_type}:
        return None
    counted = {int(n) for n in COUNTED.findall(text)}
    return OwnRead(text, tuple(t == key_type and n not in counted for n, t in enumerate(types, 1)))
