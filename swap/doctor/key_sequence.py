"""A sequence behind its keys (H67): one id that was imported, a generator in the application (hilo, snowflake), a restored table.

It is the application's own affair before the migration and after it, when its legacy keys come from the same sequence. So it is a
warning here, and no difference later (verify.checks.sequences_ahead).
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.catalog.key_sequence import key_sequence
from swap.core.connection import Connection
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Finding, NotChecked, Subject, ok, scan, warning


class _Position(NamedTuple):
    last_value: int
    furthest: int | None
    increment: int


def check_key_sequence(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """Reads the end of the key's index."""
    source, key = subject.source, subject.config.source.key
    name = key_sequence(source, key)
    if name is None:
        return []
    query = load_sql(PACKAGE, "key_sequence.sql").format(
        key=sql.Identifier(key), table=source.name.sql, sequence=name.sql, name=sql.Literal(str(name))
    )
    rows = scan(conn, _Position, query, timeout_ms)
    if isinstance(rows, NotChecked):
        return [warning("sequence", name, rows.reason, "Nothing has to be done.")]
    for p in rows:
        if p.furthest is not None and (p.furthest - p.last_value) * p.increment > 0:
            detail = (
                f"it is at {p.last_value}, and {source.name} has the key {p.furthest}: an INSERT that takes a key from it fails when it"
                " comes to a key that is there, before the cutover and after it"
            )
            hint = f"Nothing has to be done for the migration. To move it past the keys: SELECT setval('{name}', {p.furthest});"
            return [warning("sequence", name, detail, hint)]
    return [ok("sequence", name, "it is not behind the keys")]
