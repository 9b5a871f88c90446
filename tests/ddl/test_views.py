"""Views across the exchange: their locks, drift, and views over them (H26, H38). Their attributes: tests/fixtures."""

from __future__ import annotations

import pytest

from swap.core.errors import RefusedError
from tests.support.cycling import Start
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE orders (id bigserial PRIMARY KEY, mail text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
CREATE VIEW bought AS SELECT u.id, u.email, o.mail FROM users u LEFT JOIN orders o ON o.mail = u.email;
CREATE VIEW above AS SELECT id, email FROM bought;
"""


def test_other_tables_under_a_view_are_not_locked(start: Start, database: Database, connect: Connect) -> None:
    """I2: a view joins the source with another table, whose writers go on through the cutover."""
    cycle = start(SCHEMA, cutover={"max_attempts": 1, "lock_timeout_ms": 50})
    cycle.ready()
    writer = connect(database.app, autocommit=False)
    writer.execute("INSERT INTO orders (mail) VALUES ('user1')")
    cycle.cutover()
    writer.commit()
    cycle.revert()


def test_writes_through_a_view_reach_the_new_table(start: Start, database: Database, connect: Connect) -> None:
    """Also in a session with a plan of before, which cannot reach the old view."""
    cycle = start(SCHEMA + "CREATE VIEW plain AS SELECT id, email FROM users WITH CHECK OPTION")
    cycle.ready()
    app = connect(database.app, prepare_threshold=0)
    write = "UPDATE plain SET email = email || '!' WHERE email ^@ 'user3' RETURNING pg_typeof(id)::text, email"
    assert app.execute(write).fetchall() == [("bigint", "user3!")]
    cycle.verified()
    cycle.cutover()
    app.execute("DEALLOCATE ALL")  # its result has another type now (H39)
    assert app.execute(write).fetchall() == [("uuid", "user3!!")]
    cycle.verified()
    cycle.revert()
    app.execute("DEALLOCATE ALL")
    assert app.execute(write).fetchall() == [("bigint", "user3!!!")]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE VIEW late AS SELECT email FROM above",
        "CREATE OR REPLACE VIEW above AS SELECT id, upper(email) AS email FROM bought",
        "GRANT SELECT (email) ON above TO app",
        "ALTER VIEW above SET (security_barrier = true)",
        "ALTER VIEW above ALTER COLUMN email SET DEFAULT 'x'",
        "CREATE RULE r AS ON DELETE TO above DO INSTEAD NOTHING",
        "CREATE MATERIALIZED VIEW late AS SELECT id FROM bought",
        "CREATE TEMPORARY VIEW late AS SELECT id FROM above",
    ],
)
def test_a_view_that_changed_is_drift(start: Start, database: Database, connect: Connect, change: str) -> None:
    """H38: at any depth. The exchange would build it as it was in the plan, or not at all."""
    cycle = start(SCHEMA)
    cycle.ready()
    session = connect(database.owner)
    session.execute(change.encode())
    with pytest.raises(RefusedError, match="structure changed"):
        cycle.exchange("cutover")


def test_a_view_over_the_new_ones_is_named_before_a_revert(start: Start, database: Database, connect: Connect) -> None:
    """The revert drops the new views. A view that was made over them since is not dropped with them: the revert is refused by its name."""
    cycle = start(SCHEMA)
    cycle.ready()
    cycle.cutover()
    session = connect(database.owner)
    session.execute("CREATE VIEW since AS SELECT id FROM above")
    with pytest.raises(RefusedError, match="since"):
        cycle.exchange("revert")
    session.execute("DROP VIEW since")
    cycle.revert()
