"""What others do to the tables while the soak runs: rewrites, and DDL that is undone at once."""

from __future__ import annotations

import random
from contextlib import closing

import psycopg
from psycopg import sql

from swap.core.sql_text import verbatim

TABLES = ("users", "sessions", "api_access_tokens", "partner_applications", "user_roles", "audit_logs")
# Each ends in the structure that was there before. {0}: a table of the application's.
STATEMENTS = (
    ("VACUUM FULL {0}",),
    ("REINDEX TABLE {0}",),
    ("REINDEX TABLE CONCURRENTLY {0}",),
    ("ALTER TABLE users ALTER bio TYPE text USING bio",),
    ("ALTER TABLE users ALTER bio SET STATISTICS 50", "ALTER TABLE users ALTER bio SET STATISTICS -1"),
    ("COMMENT ON TABLE {0} IS 'of the soak'", "COMMENT ON TABLE {0} IS NULL"),
    ("CREATE INDEX soak ON {0} (created_at)", "DROP INDEX soak"),
    ("ALTER TABLE {0} ADD soak integer", "ALTER TABLE {0} DROP soak"),
    ("ALTER TABLE {0} SET (fillfactor = 90)", "ALTER TABLE {0} RESET (fillfactor)"),
    ("CREATE RULE soak AS ON DELETE TO {0} WHERE false DO INSTEAD NOTHING", "DROP RULE soak ON {0}"),
)
WITHOUT_A_COMMENT = ("sessions", "api_access_tokens", "partner_applications", "user_roles")
WITH_CREATED_AT = ("users", "sessions", "api_access_tokens", "partner_applications")


def disturb(owner: str, rng: random.Random) -> str:
    """One of STATEMENTS, as the owner. Returns what was done. A lock that is not free within two seconds is given up; what was done
    before is undone whatever happens."""
    statements = rng.choice(STATEMENTS)
    tables = WITHOUT_A_COMMENT if "COMMENT" in statements[0] else WITH_CREATED_AT if "created_at" in statements[0] else TABLES
    table = sql.Identifier(rng.choice(tables))
    done, *undo = (verbatim(s).format(table) for s in statements)
    with closing(psycopg.connect(owner, autocommit=True)) as conn:
        if b"CONCURRENTLY" not in done.as_bytes():  # one that gives up leaves an invalid index behind
            conn.execute("SET lock_timeout = '2s'")
        try:
            conn.execute(done)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return "nothing"
        conn.execute("SET lock_timeout = 0")
        for statement in undo:
            conn.execute(statement)
    return statements[0]
