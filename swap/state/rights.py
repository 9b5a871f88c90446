"""The rights on the state schema: only its owner has any, but for EXECUTE on trigger functions."""

from __future__ import annotations

from psycopg import sql

from swap.core.sql_text import Query, anonymous, load_sql


def bare_state(schema: str) -> Query:
    """Take every right on what swap keeps in the schema from everyone but its owner. One statement, which asks the server."""
    return anonymous(load_sql("swap.state", "bare_state.sql").format(schema=sql.Literal(schema)))


def owners_only(schema: str) -> list[Query]:
    """The rights that are given since version 4, on what an older version created."""
    owners = load_sql("swap.state", "table_owners.sql").format(run=sql.Identifier(schema, "run"), schema=sql.Literal(schema))
    return [bare_state(schema), anonymous(owners)]
