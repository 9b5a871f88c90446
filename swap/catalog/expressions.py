"""Conditions and other texts of the configuration are SQL. Each must be one expression, query or statement, before a statement that holds
it is run: the server runs a text of several statements as several.

The server parses the condition inside a statement, and runs nothing. Parse of the extended protocol takes one statement only, and
looks up no name of a utility statement. Two different statements are tried: a condition that closes the parenthesis of one of them is
an error in the other.
"""

from __future__ import annotations

from psycopg import pq

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import UsageError

EXPRESSION = (b"CREATE POLICY p ON t USING ((%b\n))", b"ALTER TABLE t ADD CHECK ((%b\n))")


QUERY = (b"CREATE VIEW v AS %b\n", b"CREATE VIEW v AS (%b\n)")
INDEX = (b"CREATE INDEX i ON t %b\n",)
EXCLUSION = (b"ALTER TABLE t ADD CONSTRAINT c %b\n",)
WHOLE = (b"%b\n",)


def refuse_spliced(conn: Connection, config: Config) -> None:
    """Raises UsageError with the key of a text that is not one expression, one query or one statement."""
    _refuse_spliced_conditions(conn, config)
    texts: list[tuple[str, str, str, tuple[tuple[bytes, ...], ...]]]
    texts = [("expression", f"[[default]] {d.table}.{d.column}", d.definition, (EXPRESSION,)) for d in config.default]
    texts += [("query", f"[[view]] {v.name}", v.definition.rstrip().rstrip(";"), (QUERY,)) for v in config.view]
    texts += [("statement", f"[[function]] {f.name}", f.definition, (WHOLE,)) for f in config.function]
    texts += [("statement", f"[[trigger]] {t.table}.{t.name}", t.definition, (WHOLE,)) for t in config.trigger]
    texts += [("definition", f"[[index]] {i.name}", i.definition.rstrip().rstrip(";"), (INDEX, EXCLUSION)) for i in config.index]
    for what, where, text, ways in texts:
        problems = [_problem(conn, text, around) for around in ways]
        if all(problems):
            raise UsageError(
                f"The `definition` of {where} is not one SQL {what}: {problems[0]}.",
                hint=f"Write one {what} of SQL, as the section says.",
            )


def _refuse_spliced_conditions(conn: Connection, config: Config) -> None:
    texts = [(f"`where` of the reference {r.table}.{r.column}", r.where) for r in config.reference]
    texts += [(f"`using` of [[policy]] {p.name}", p.using) for p in config.policy]
    texts += [(f"`check` of [[policy]] {p.name}", p.check) for p in config.policy]
    for what, text in texts:
        if text is not None and (problem := _problem(conn, text, EXPRESSION)):
            raise UsageError(
                f"The {what} is not one SQL expression: {problem}.", hint="Write one condition, without a semicolon."
            )


def _problem(conn: Connection, text: str, arounds: tuple[bytes, ...]) -> str:
    for around in arounds:
        result = conn.pgconn.prepare(b"", around % text.encode())
        if result.status != pq.ExecStatus.COMMAND_OK:
            field = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            return field.decode(errors="replace")
    return ""
