"""The ACL that a relation is born with, without what ALTER DEFAULT PRIVILEGES would put into it.

Asked of the server when the relation is there: default privileges may change between the plan and the cutover.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import anonymous, load_sql


def bare_acl(relation: TableName) -> sql.Composed:
    """Only the owner's own rights are left. The role must be the owner, or a member of it."""
    body = load_sql("swap.ddl", "bare_acl.sql").format(relation=sql.Literal(relation.sql.as_string(None)))
    return anonymous(body)
