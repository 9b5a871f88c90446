"""The privileges that a relation is created with, without those that ALTER DEFAULT PRIVILEGES adds.

The statement asks the server when it runs: default privileges may change between the plan and the cutover.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import anonymous, load_sql


def bare_acl(relation: TableName) -> sql.Composed:
    """Leave the owner's own privileges only. The session's role must own the relation, or be a member of its owner."""
    body = load_sql("swap.ddl", "bare_acl.sql").format(relation=sql.Literal(relation.sql.as_string(None)))
    return anonymous(body)
