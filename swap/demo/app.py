"""Installs the example application into a database.

Two roles are created where they are missing. `swap_owner` owns everything, and `swap` connects as it: no superuser, no BYPASSRLS.
`app` is the application, subject to the row security policies. Roles belong to the whole cluster, so several installs at once write
to `pg_authid`: a lock on that shared catalog makes them take turns.
"""

from importlib import resources
from typing import Final, Literal

import psycopg
from psycopg import sql

Variant = Literal["adopt", "fresh"]
OWNER: Final = "swap_owner"
APP: Final = "app"


def install(
    superuser_conninfo: str,
    variant: Variant,
    *,
    users: int = 1000,
    seed: int = 1,
    owner_password: str | None = None,
    app_password: str | None = None,
    replication: bool = False,
) -> None:
    """Create roles, schema and `users` rows of deterministic data in the database of the conninfo.

    `fresh` has no uuid column at all; `adopt` has done phases 1 to 3 of its own plan, incompletely. `replication`: the owner may
    read replication slots, which logical capture needs. After the roles everything is one transaction, so a failed install leaves an
    empty database; then an ANALYZE. Raises ValueError for fewer than 10 users, and psycopg's errors.
    """
    if users < 10:
        raise ValueError("the example needs at least 10 users")
    with psycopg.connect(superuser_conninfo, autocommit=True) as conn:
        with conn.transaction():
            _create_role(conn, OWNER, owner_password)
            _create_role(conn, APP, app_password)
            _grant_to_owner(conn)
            if replication:
                conn.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(sql.Identifier(OWNER)))
        with conn.transaction():
            _configure(conn, "demo.users", str(users))
            _configure(conn, "demo.seed", str(seed))
            conn.execute("SET LOCAL maintenance_work_mem = '256MB'")
            _as_owner(conn, "schema.sql")
            conn.execute("SET LOCAL session_replication_role = replica")
            conn.execute(_read("seed.sql"))
            conn.execute("SET LOCAL session_replication_role = origin")
            if variant == "adopt":
                _as_owner(conn, "adopt.sql")
        conn.execute("ANALYZE")


def _read(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def _as_owner(conn: psycopg.Connection, name: str) -> None:
    """Run a script as the owner, so that everything it creates belongs to the owner."""
    conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
    conn.execute(_read(name))
    conn.execute("RESET ROLE")


def _configure(conn: psycopg.Connection, name: str, value: str) -> None:
    conn.execute("SELECT set_config(%s, %s, true)", (name, value))


def _create_role(conn: psycopg.Connection, name: str, password: str | None) -> None:
    # A login takes ACCESS SHARE and does not wait for this lock; another CREATE ROLE does.
    conn.execute("LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE")
    if conn.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    if password is not None:
        conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))


def _grant_to_owner(conn: psycopg.Connection) -> None:
    owner = sql.Identifier(OWNER)
    database = sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, owner))
    conn.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner))
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(APP)))
    # With this swap fills references without firing the application's triggers (GRANT ... ON PARAMETER, PostgreSQL 15). Ask first: a
    # second GRANT would rewrite the row of the shared catalog during another install.
    if conn.info.server_version >= 150000:
        granted = conn.execute("SELECT has_parameter_privilege(%s, 'session_replication_role', 'SET')", (OWNER,)).fetchone()
        if granted != (True,):
            conn.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(owner))
