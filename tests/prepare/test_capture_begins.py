"""Where the queue begins: at the first table that is captured (I3)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from swap.prepare import run as prepare_run
from tests.support.migration import Driver, install
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE roles (user_id bigint NOT NULL REFERENCES users, role text, PRIMARY KEY (user_id, role));
CREATE TABLE notes (code text PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
"""


def test_rows_that_are_written_between_the_steps_of_two_tables(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given writes after each step of `prepare`, then they are copied or replayed: also in tables without an integer key, which are copied
    by heap blocks and leave to replay what has an entry."""
    install(database, SCHEMA)
    owner, steps, original = connect(database.owner), list[str](), prepare_run.run_step

    def stepped(migration: Any, step: Any, *after: Any) -> None:
        original(migration, step, *after)
        steps.append(step.name)
        n = len(steps)
        owner.execute(
            f"INSERT INTO sessions (user_id) VALUES (1); INSERT INTO roles VALUES (2, 'role {n}'); INSERT INTO notes VALUES ('note {n}', 3);"
            f" DELETE FROM roles WHERE role = 'role {n - 2}'; UPDATE notes SET user_id = 4 WHERE code = 'note {n - 1}'".encode()
        )

    monkeypatch.setattr(prepare_run, "run_step", stepped)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert len([s for s in steps if s.startswith("capture")]) == 4
        assert m.verify().verdict == "identical"
