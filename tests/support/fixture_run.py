"""One directory of `tests/fixtures` through the real commands, in this process: starting one for each would take
longer than its work. What is compared is text: the server's own schema dump, and what `doctor` says.

    before.sql     the application's schema with some rows; run as superuser under SET SESSION AUTHORIZATION swap_owner,
                   so that a case may RESET it. `-- requires: 17` in it skips the case on older servers.
    swap.toml      the configuration
    expected.sql   the schema after the cutover, or
    refused.txt    what `doctor` stops on: `check:object: detail`, and below it what to do
    warned.txt     optional: what `doctor` warns of in a schema that is not refused
    refused_logical.txt   optional: the same with logical capture, where that refuses what triggers do not
    after.sql      optional: run as `app` after the cutover, as one transaction

`SWAP_ACCEPT_FIXTURES=1` writes what was found in place of comparing it; the difference is then git's to show, and
yours to read.
"""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from swap.cli import run
from tests.support.dump import schema_dump
from tests.support.migration import ANALYZE, ROLES, allow_replication
from tests.support.mode import current_mode, toml_with_mode
from tests.support.servers import Database, DatabaseServer

SPACE = "fixture_space"
DIRECTORY = Path(__file__).parents[1] / "fixtures"
ACCEPT = os.environ.get("SWAP_ACCEPT_FIXTURES") == "1"
TEXT_VERSION = 18
"""pg_dump words the same thing differently in other versions (a NOT NULL has a name from 18 on)."""

REFUSED_LOGICAL = "refused_logical.txt"

READER = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN CREATE ROLE reader; END IF;
END $$
"""

# On a machine that does other things a script may take longer than an application would wait; and the rows are few.
PATIENT = "\n[sync]\njobs = 1\n[cutover]\nlock_timeout_ms = 5000\nmax_lock_hold_ms = 60000\n"

# What is the same in every case: settings of pg_dump's session, the roles' rights, the usual owner.
PREAMBLE = re.compile(
    r"^(SET (?!default_|SESSION)|SELECT pg_catalog\.set_config"
    r"|GRANT .* ON SCHEMA public TO |ALTER .* OWNER TO swap_owner;$)"
)
# pg_dump prints a policy's roles as they lie in pg_authid, which another test's ALTER ROLE changes.
POLICY_ROLES = re.compile(r"^(CREATE POLICY .*? TO )(\w+(?:, \w+)+)")
# What swap keeps on the tables: triggers whose functions are in its own schema.
OWN_TRIGGER = re.compile(r"^(CREATE .*TRIGGER .* EXECUTE FUNCTION swap\.|ALTER TABLE .* TRIGGER \"?(~swap_|0swap_|swap_))")
# What logical capture keeps until `finalize`, besides: its publication, and the replica identity of the table in it, which is an
# index over both keys when the run began with that capture.
OWN_PUBLICATION = re.compile(r"^(?:CREATE|ALTER) PUBLICATION swap_\d+ (?:ADD TABLE ONLY (.+?) \(.+\);$)?")
REPLICA_IDENTITY = re.compile(r"^ALTER TABLE ONLY (.+) REPLICA IDENTITY USING INDEX ")
PAIR_INDEX = re.compile(r"^CREATE UNIQUE INDEX .+_pair_key ON (.+?) USING ")
# The look-up of a reference's default has the oid of the source in its name.
LOOKUP = re.compile(r"\bswap\.(\w+?)_\d+_default_(\d+)\b")
# `check:object` of a finding; objects may contain anything but ": ".
LABEL = re.compile(r"^(\S.*?): ", re.MULTILINE)
# What doctor says of this server and configuration, not of the schema.
ENVIRONMENT = {"statistics-visible", "exact-reads", "snapshot-hook", "disk"}


@dataclass(frozen=True)
class Case:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(DIRECTORY))

    def text(self, file: str) -> str | None:
        path = self.path / file
        return path.read_text(encoding="utf-8") if path.exists() else None

    @property
    def before(self) -> str:
        text = self.text("before.sql")
        assert text is not None, f"{self.path} has no before.sql"
        return text

    @property
    def requires(self) -> int:
        """The oldest major version that understands `before.sql`."""
        found = re.search(r"^-- requires: (\d+)", self.before, re.MULTILINE)
        return int(found[1]) if found else 15


def cases() -> list[Case]:
    return [Case(p.parent) for p in sorted(DIRECTORY.rglob("before.sql"))]


def own_removed(dump: str) -> list[str]:
    """The dump's lines without what capture and guards keep there until `finalize`: triggers that call what is in swap's
    own schema; with logical capture a publication, and the replica identity of the table that it publishes after the cutover.
    """
    lines = dump.splitlines()
    published = {m[1] for line in lines if (m := OWN_PUBLICATION.match(line))}
    return [
        line
        for line in lines
        if not OWN_TRIGGER.match(line)
        and not OWN_PUBLICATION.match(line)
        and not ((m := REPLICA_IDENTITY.match(line) or PAIR_INDEX.match(line)) and m[1] in published)
    ]


def normalised(dump: str) -> str:
    """The dump as a reviewer reads it: without what is the same in every case (so an owner is named where it is not
    swap_owner), and without what is swap's own."""
    lines = [
        POLICY_ROLES.sub(lambda m: m[1] + ", ".join(sorted(m[2].split(", "))), line)
        for line in own_removed(dump)
        if not PREAMBLE.match(line)
    ]
    lines = [LOOKUP.sub(r"swap.\1_default_\2", line) for line in lines]
    defaults = {line for line in lines if line.startswith("SET default_")}
    usual = {"SET default_tablespace = '';", "SET default_table_access_method = heap;"}
    return "".join(f"{line}\n" for line in lines if defaults > usual or line not in usual)


@dataclass
class FixtureRun:
    """The commands, on one database, as swap_owner."""

    case: Case
    db: Database
    server: DatabaseServer
    config: Path

    def install(self) -> None:
        text = self.case.text("swap.toml") or ""
        self.config.write_text(toml_with_mode(text if "[cutover]" in text else text + PATIENT), encoding="utf-8")
        with closing(psycopg.connect(self.db.superuser, autocommit=True)) as conn:
            conn.execute(ROLES)
            conn.execute(READER)
            if SPACE in self.case.before:
                self._tablespace(conn)
            conn.execute("SET SESSION AUTHORIZATION swap_owner")
            conn.execute(self.case.before.encode())
            conn.execute("RESET SESSION AUTHORIZATION")
            conn.execute(ANALYZE)
        if current_mode() == "logical":
            allow_replication(self.db)

    @staticmethod
    def _tablespace(conn: psycopg.Connection[Any]) -> None:
        """A tablespace of the whole server, inside its data directory; where a case names it."""
        if conn.execute("SELECT 1 FROM pg_tablespace WHERE spcname = %s", [SPACE]).fetchone() is None:
            conn.execute("SET allow_in_place_tablespaces = on")
            conn.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(SPACE)))
            conn.execute(sql.SQL("GRANT CREATE ON TABLESPACE {} TO swap_owner").format(sql.Identifier(SPACE)))

    def run(self, *args: str, code: int = 0) -> Any:
        """The command's document. Another exit code than `code` fails the test with all that was said."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            found = run([*args, "--json", "--config", str(self.config), "--dsn", self.db.owner])
        document = json.loads(out.getvalue())
        stopped = [c for c in document.get("checks", []) if c["status"] in {"blocker", "failed"}]
        said = json.dumps(stopped or document.get("error", []), indent=2)
        assert found == code, f"swap {' '.join(args)}: exit code {found}\n{said}\n{err.getvalue()}"
        return document

    def dump(self) -> str:
        return schema_dump(self.server, self.db.dbname)

    @property
    def major(self) -> int:
        with closing(psycopg.connect(self.db.superuser)) as conn:
            return conn.info.server_version // 10000

    def findings(self, status: str, *, code: int) -> str:
        """`doctor`'s findings of that status, as refused.txt and warned.txt hold them; without the texts, which quote
        the server's, where the version is another one.
        """
        trial = [] if code else ["--no-trial"]  # one that is not refused is tried out by `prepare`
        checks = self.run("doctor", *trial, code=code)["checks"]
        found = [c for c in checks if c["status"] == status and c["name"] not in ENVIRONMENT]
        whole = self.major == TEXT_VERSION
        lines = [f"{c['name']}:{c['object']}" + (f": {c['detail']}\n    {c['hint']}".rstrip() if whole else "") for c in found]
        return "".join(f"{line}\n" for line in lines)

    def compare(self, file: str, found: str) -> None:
        """With the case's own file. Schema text is compared on the one version that it was written by."""
        if file == "expected.sql" and self.major != TEXT_VERSION:
            return
        if ACCEPT:
            (self.case.path / file).write_text(found, encoding="utf-8")
            return
        wanted = self.case.text(file) or ""
        if self.major != TEXT_VERSION:
            wanted = "".join(f"{label}\n" for label in LABEL.findall(wanted))
        assert found == wanted, f"{self.case.name}/{file} is not what was found (SWAP_ACCEPT_FIXTURES=1 writes it anew)"

    @property
    def refused(self) -> str | None:
        """The file that says why this case is refused with this test's capture, if it is."""
        files = (*([REFUSED_LOGICAL] if current_mode() == "logical" else []), "refused.txt")
        return next((f for f in files if self.case.text(f) is not None), None)

    def write_afterwards(self) -> None:
        script = self.case.text("after.sql")
        if script is not None:
            with closing(psycopg.connect(self.db.app)) as conn:
                conn.execute(script.encode())
                conn.commit()
