"""A privilege that is revoked while a run exists: the command that needs it ends with exit code 3, prints the GRANT that restores it,
and changes nothing. With the privilege the run goes on. The privileges for `prepare`: `test_a_missing_privilege_is_named_…`
(test_role)."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import Cli
from tests.support.dump import schema_dump
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.watched import WatchedOperator

CUTOVER = ("cutover", "--yes", "--no-snapshot")
SYNC = ("sync", "--once")
OTHERS_TABLE = """
CREATE TABLE orgs (id bigint PRIMARY KEY); INSERT INTO orgs VALUES (1); ALTER TABLE users ADD org_id bigint REFERENCES orgs
"""
LOST = {
    "create-in-schema": ("REVOKE CREATE ON SCHEMA public FROM swap_owner", CUTOVER, "GRANT USAGE, CREATE ON SCHEMA public TO swap_owner;"),
    "usage-of-schema": (
        "REVOKE ALL ON SCHEMA public FROM swap_owner, PUBLIC", CUTOVER, "GRANT USAGE, CREATE ON SCHEMA public TO swap_owner;"
    ),
    "state-schema": ("ALTER SCHEMA swap OWNER TO postgres", SYNC, "If postgres is the role that runs swap here, connect as it."),
    "referenced-table": (
        "ALTER TABLE orgs OWNER TO postgres", CUTOVER, "GRANT REFERENCES (id) ON public.orgs TO swap_owner;",
    ),
    "locked-table": (
        "ALTER TABLE orgs OWNER TO postgres; GRANT REFERENCES ON orgs TO swap_owner", CUTOVER, "GRANT TRUNCATE ON public.orgs TO swap_owner;",
    ),
}  # fmt: skip
BACK = """
GRANT ALL ON SCHEMA public TO swap_owner; GRANT USAGE ON SCHEMA public TO PUBLIC; ALTER SCHEMA swap OWNER TO swap_owner;
ALTER TABLE orgs OWNER TO swap_owner
"""


def test_a_right_that_goes_is_named(
    cli: Cli, database: Database, connect: Connect, tmp_path: Path, server: DatabaseServer
) -> None:
    """One after another on one database: none changes anything, so each begins in the same state."""
    op = WatchedOperator(cli, database, connect(database.superuser), tmp_path)
    connect(database.owner).execute(OTHERS_TABLE)
    for step in (("prepare",), ("sync", "--once"), ("verify",)):
        op(*step)
    for lost, (statement, command, grant) in LOST.items():
        op.watcher.execute(statement.encode())
        before = schema_dump(server, database.dbname)
        result = op(*command, check=False)
        assert result.code == 3, (lost, result)
        why = "is not believed" if lost == "state-schema" else "permission denied"
        assert why in result.json["error"]["message"], lost
        assert result.json["error"]["hint"].startswith(grant), lost
        assert schema_dump(server, database.dbname) == before, lost
        op.watcher.execute(BACK)
    assert op(*CUTOVER).json["outcome"] == "committed"
