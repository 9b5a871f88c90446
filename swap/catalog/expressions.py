"""Conditions of the configuration, `where` and [[policy]], are SQL text. Each must be one expression, before a statement that holds it
is run: the server runs a text of several statements as several.

The server parses the condition inside a statement, and runs nothing. Parse of the extended protocol takes one statement only, and
looks up no name of a utility statement. Two different statements are tried: a condition that closes the parenthesis of one of them is
an error in the other.
"""

from __future__ import annotations

from psycopg import pq

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import UsageError

AROUND = (b"CREATE POLICY p ON t USING ((%b\n))", b"ALTER TABLE t ADD CHECK ((%b\n))")


def refuse_spliced(conn: Connection, config: Config) -> None:
    """Raises UsageError with the key of a condition that is not one expression."""
    texts = [(f"`where` of the reference {r.table}.{r.column}", r.where) for r in config.reference]
    texts += [(f"`using` of [[policy]] {p.name}", p.using) for p in config.policy]
    texts += [(f"`check` of [[policy]] {p.name}", p.check) for p in config.policy]
    for what, text in texts:
        if text is not None and (problem := _problem(conn, text)):
            raise UsageError(
                f"The {what} is not one SQL expression: {problem}.", hint="Write one condition, without a semicolon."
            )


def _problem(conn: Connection, text: str) -> str:
    for around in AROUND:
        result = conn.pgconn.prepare(b"", around % text.encode())
        if result.status != pq.ExecStatus.COMMAND_OK:
            field = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            return field.decode(errors="replace")
    return ""
