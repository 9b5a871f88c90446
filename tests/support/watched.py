"""An operator at a small schema with enough rows to stop in the middle of: for tests that kill, hold and starve commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.commands import Cli
from tests.support.migration import Session, install
from tests.support.operator import Operator
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, inviter_id bigint REFERENCES users, n integer);
CREATE INDEX ON users (inviter_id);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);
CREATE INDEX sessions_user ON sessions (user_id);
INSERT INTO users SELECT n, 'user' || n, nullif(n / 2, 0), 0 FROM generate_series(1, 12000) n;
SELECT setval('users_id_seq', 20000);
INSERT INTO sessions (user_id) SELECT n FROM generate_series(1, 3000) n;
"""
CONFIG = """
[sync]
jobs = 1
chunk_target_ms = 10
[cutover]
lock_timeout_ms = 100
max_attempts = 1000
"""
HOLD = 7  # the advisory lock that held ranges wait for


class WatchedOperator(Operator):
    """Runs commands on one database, and looks at it as superuser."""

    def __init__(self, cli: Cli, db: Database, watcher: Session, path: Path) -> None:
        self.watcher = watcher
        install(db, SCHEMA)
        super().__init__(cli, db, path, CONFIG)

    def ask(self, text: str) -> Any:
        """The first value of a query, None without a row or while a table is not there yet."""
        try:
            row = self.watcher.execute(text.encode()).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
        return row and row[0]

    def phase(self) -> Any:
        return self.ask("SELECT phase::text FROM swap.run ORDER BY id DESC LIMIT 1")

    def hold(self, part: str, number: int) -> None:
        """Range `number` of `part`, and every later one, waits between its rows and its commit while HOLD is held."""
        self.watcher.execute(
            sql.SQL(
                "CREATE FUNCTION swap.hold() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared({hold}); RETURN NEW; END';"
                "CREATE TRIGGER hold BEFORE UPDATE ON swap.chunk FOR EACH ROW"
                " WHEN (split_part(NEW.part, ' of file ', 1) = {part} AND NEW.number >= {number}) EXECUTE FUNCTION swap.hold();"
                "ALTER TABLE swap.chunk ENABLE ALWAYS TRIGGER hold;"
                "SELECT pg_advisory_lock({hold})"
            ).format(hold=sql.Literal(HOLD), part=sql.Literal(part), number=sql.Literal(number))
        )

    def let_go(self) -> None:
        self.watcher.execute("SELECT pg_advisory_unlock_all()")

    def assert_finished(self) -> None:
        """What an undisturbed run ends in: synced, verified identical, and nothing left over."""
        result = self("sync", "--once").json
        assert (result["reason"], result["phase"], result["pending_changes"]) == ("caught_up", "syncing", 0)
        assert self("verify", "--method", "exact").json["verdict"] == "identical"
        assert self.ask("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        assert self.ask("SELECT count(*) FROM swap.chunk WHERE rows IS NULL") == 0
        assert self.ask("SELECT count(*) FROM swap.run") == 1
