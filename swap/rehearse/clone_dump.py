"""`--clone dump`: pg_dump of production, restored into a private server on this machine, or with --clone-dsn into a new database of
that server. A dump locks nothing that a writer needs (ACCESS SHARE), and holds its snapshot for as long as it takes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from swap.core.connection import Database
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.core.libpq_environment import conninfo_of, libpq_environment
from swap.core.names import quote
from swap.core.printable import printable
from swap.core.secrets import mask
from swap.core.sql_text import verbatim
from swap.demo.server import Server, ServerError
from swap.rehearse.child import Child
from swap.rehearse.clones import Clone, CloneOptions, Note, Production
from swap.rehearse.environment import clean_environment, find_client, server_binaries
from swap.rehearse.new_database import clone_name, new_database
from swap.rehearse.private import SETTINGS
from swap.rehearse.watchdog import Watchdog

TAIL_CHARS = 500
LAST_LINES = 5  # of initdb's output: what it says in the end


@contextmanager
def dump_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """Raises RefusedError where production cannot be dumped or restored, UsageError where a program is missing."""
    with ExitStack() as held:
        name = clone_name(production.dbname)
        if options.maker is None:
            spec = server_binaries(production.server_version, "--clone dump")
            server = held.enter_context(_private_server(spec))
            _roles(production, server.conninfo())
            maker, keep = Database.from_options(server.conninfo(), "rehearse"), True  # it goes with its server
            there = server.conninfo(name, user=production.user)
            where = "a private server on this machine"
        else:
            maker, keep = Database.from_options(options.maker, "rehearse"), options.keep
            with maker.session() as conn:
                there = conninfo_of(conn, dbname=name)
            where = "the server of --clone-dsn"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
        with new_database(maker, name, create, keep=keep) as conn:
            admin = conninfo_of(conn, dbname=name)
            _copy(production, admin, options, note)
            if options.maker is None:
                conn.execute(
                    sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(production.user))
                )
            yield Clone("dump", there, admin, f"a dump of {production.dbname} in {where}", private=options.maker is None)


def _private_server(spec: str) -> Server:
    """Raises RefusedError where it does not start."""
    try:
        return Server.start(spec, SETTINGS)
    except ServerError as e:
        lines = [line for line in printable(str(e)).splitlines() if line.strip()]
        raise RefusedError(
            f"The private server of the clone did not start: {' '.join(lines[-LAST_LINES:])[-TAIL_CHARS:]}",
            state=f"No clone was made. {NOTHING_CHANGED}",
            hint=f"Is there room in {tempfile.gettempdir()}? TMPDIR names another directory, and --clone-dsn another server.",
        ) from None


def _copy(production: Production, target: str, options: CloneOptions, note: Note) -> None:
    """Dump into files, side by side, and restore from them. The files are gone at the end."""
    with (
        Watchdog() as watchdog,
        tempfile.TemporaryDirectory(prefix="swap-dump-") as directory,
        watchdog.watching(directory=directory),
        production.database.session("clone") as conn,
    ):
        dump, jobs = str(Path(directory) / "dump"), f"--jobs={options.jobs}"
        what = ["--schema-only"] if options.schema_only else []
        note(f"dumping {production.dbname}")
        with libpq_environment(conn) as variables:
            program = find_client("pg_dump", production.server_version)
            _run([str(program), "--format=directory", jobs, f"--file={dump}", *what], variables, watchdog)
        note("restoring it into the clone")
        program = find_client("pg_restore", production.server_version)
        with Database.from_options(target, "rehearse").session("restore") as there, libpq_environment(there) as variables:
            _run([str(program), jobs, f"--dbname={there.info.dbname}", "--exit-on-error", dump], variables, watchdog)
            there.execute("ANALYZE")


def _run(argv: list[str], variables: dict[str, str], watchdog: Watchdog) -> None:
    done = Child(argv, clean_environment(**variables)).run(watchdog)
    if done.code:
        said = printable(mask(done.err)).strip()[-TAIL_CHARS:]
        raise RefusedError(
            f"{Path(argv[0]).name} ended with {done.code}: {' '.join(said.split()).rstrip('.')}.",
            state=f"The clone is removed. {NOTHING_CHANGED}",
            hint="Correct what it names; or make the clone yourself, and name it with --on.",
        )


def _roles(production: Production, target: str) -> None:
    """Every role of production, without its password, with its memberships and its rights on parameters. One that exists already, or
    that the private server cannot have, is passed over: the restore names what is missing."""
    with production.database.session("roles") as conn, libpq_environment(conn) as variables:
        program = find_client("pg_dumpall", production.server_version)
        argv = [str(program), "--roles-only", "--no-role-passwords", f"--database={conn.info.dbname}"]
        done = subprocess.run(argv, env=clean_environment(**variables), capture_output=True, text=True, check=False)
    with psycopg.connect(target, autocommit=True) as conn:
        for line in done.stdout.splitlines():
            if line.endswith(";") and line.startswith(("CREATE ROLE ", "ALTER ROLE ", "GRANT ")):
                try:
                    conn.execute(verbatim(line))
                except psycopg.Error:
                    continue
        conn.execute(
            verbatim(
                "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = "
                f"{sql.Literal(production.user).as_string(None)}) THEN CREATE ROLE {quote(production.user)} LOGIN; END IF; END $do$"
            )
        )
