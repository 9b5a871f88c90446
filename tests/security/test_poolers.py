"""A pause stops every client of a pool. So only the pool of the run's own server and database is paused, whatever the
configuration says: a rehearsal on a clone, with the configuration of production, must not stop production."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.support.operator import MakeOperator, Operator
from tests.support.pooling import PASSWORD, PgBouncer, Pooled, pgbouncer
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.standby import standby_of
from tests.support.waiting import wait_until

__all__ = ["pgbouncer"]
EXCHANGE = ("cutover", "--yes", "--no-snapshot")


def configured(make: MakeOperator, pooled: Pooled, settings: str = "") -> tuple[Operator, PgBouncer]:
    op = make(settings=settings, mode="trigger")
    bouncer = pooled(op.db)
    op.config.write_text(f"{op.config.read_text(encoding='utf-8')}\n{bouncer.settings()}", encoding="utf-8")
    return op, bouncer


def told_by_doctor(op: Operator, dsn: str | None = None) -> list[dict[str, Any]]:
    said = op.cli("doctor", "--json", config=op.config, dsn=dsn or op.db.owner, check=False)
    return [c for c in said.json["checks"] if c["name"] == "pgbouncer"]


@pytest.mark.slow
def test_a_clone_with_the_configuration_of_production(
    ready_operator: MakeOperator, pgbouncer: Pooled, server: DatabaseServer, connect: Connect
) -> None:
    """The clone is a base backup: system identifier, names of the databases and the run itself are those of production."""
    op, production = configured(ready_operator, pgbouncer)
    assert [c["status"] for c in told_by_doctor(op)] == ["ok"]
    with standby_of(server) as clone:
        dsn = make_conninfo(op.db.owner, port=clone.port)
        assert [c["status"] for c in told_by_doctor(op, dsn)] == ["warning"], "a standby cannot tell"
        connect(clone.conninfo()).execute("SELECT pg_promote()")
        found = told_by_doctor(op, dsn)
        assert [c["status"] for c in found] == ["blocker"]
        assert "another postmaster" in found[0]["detail"]
        assert op.cli("adopt-clone", "--yes", config=op.config, dsn=dsn).code == 0
        refused = op.cli(*EXCHANGE, "--json", config=op.config, dsn=dsn, check=False)
    assert refused.code == 3, refused
    assert refused.json["error"]["state"] == "Nothing was changed."
    assert f"{production.name} leads to" in refused.json["error"]["message"]
    assert not production.was_paused()
    assert op(*EXCHANGE).json["paused_ms"] > 0, "production itself is paused by its own cutover"


def test_a_pool_of_that_name_that_leads_to_another_database(
    ready_operator: MakeOperator, pgbouncer: Pooled, server: DatabaseServer, database: Database
) -> None:
    op, bouncer = configured(ready_operator, pgbouncer)
    bouncer.lead_to(server.port, database.dbname)
    found = told_by_doctor(op)
    assert [c["status"] for c in found] == ["blocker"]
    assert f"another database ({database.dbname}" in found[0]["detail"]
    assert "another database" in op.refused(*EXCHANGE, code=3)["message"]
    assert not bouncer.was_paused()


def test_a_pooler_that_is_reconfigured_between_two_attempts(
    ready_operator: MakeOperator, pgbouncer: Pooled, server: DatabaseServer, database: Database, connect: Connect
) -> None:
    """It is asked before each PAUSE, and not once."""
    op, bouncer = configured(ready_operator, pgbouncer, "[cutover]\nmax_attempts = 1000\nlock_timeout_ms = 50\n")
    holder = connect(op.db.superuser, autocommit=False)
    holder.execute("SELECT count(*) FROM users")
    running = op.start(*EXCHANGE)
    running.wait_line("attempt 1 of")
    bouncer.lead_to(server.port, database.dbname)
    holder.rollback()
    ended = running.wait()
    assert ended.code == 3, ended
    assert f"{bouncer.name} leads to another database" in ended.stderr
    wait_until(lambda: not bouncer.paused(), what="nothing is paused")
    assert op.status()["phase"] == "syncing"


def test_a_role_that_the_pooler_does_not_let_in(ready_operator: MakeOperator, pgbouncer: Pooled) -> None:
    """Then it is not known where the pool leads to: refused, with what lets the role in, and no password."""
    op, bouncer = configured(ready_operator, pgbouncer)
    (bouncer.directory / "hba").write_text("host all all 127.0.0.1/32 password\n")
    bouncer.stop()
    bouncer.start()
    dsn = make_conninfo(op.db.owner, password=PASSWORD)
    found = told_by_doctor(op, dsn)
    assert [c["status"] for c in found] == ["blocker"]
    assert "it is not known where" in found[0]["detail"]
    assert "auth_query" in found[0]["hint"]
    refused = op.cli(*EXCHANGE, "--json", config=op.config, dsn=dsn, check=False)
    assert refused.code == 3, refused
    assert PASSWORD not in refused.stdout + refused.stderr
    assert not bouncer.was_paused()
    passwords = bouncer.directory / "passwords"
    passwords.write_text(f"127.0.0.1:{bouncer.port}:*:swap_owner:owner\n")
    passwords.chmod(0o600)
    let_in = op.cli(*EXCHANGE, "--json", config=op.config, dsn=op.db.owner, env={"PGPASSFILE": str(passwords)})
    assert let_in.json["paused_ms"] > 0
