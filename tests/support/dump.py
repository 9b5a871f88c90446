"""A schema as text, to compare two databases or two moments."""

from __future__ import annotations

import re
import subprocess

from tests.support.servers import DatabaseServer

# \restrict and \unrestrict carry a random token; comment lines name versions.
NOISE = re.compile(r"^(--|\\(un)?restrict\b)")
WORDS = r'(?:"(?:[^"]|"")*"|[^";])*?'  # within a statement: a quoted name may hold semicolons and line feeds
FENCE = re.compile(rf"^(?:CREATE|ALTER TABLE (?:ONLY )?{WORDS} ENABLE ALWAYS) TRIGGER swap_fence\b{WORDS};\n", re.MULTILINE)


def schema_dump(server: DatabaseServer, dbname: str) -> str:
    """The server's own `pg_dump --schema-only`, without the schema `swap`, comments, blank lines and random
    tokens.
    """
    done = subprocess.run(
        [server.bindir / "pg_dump", "--schema-only", "--encoding=UTF8", "--exclude-schema=swap", server.conninfo(dbname)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(line for line in done.stdout.splitlines() if line and not NOISE.match(line)) + "\n"


def without_fence(dump: str) -> str:
    """The dump without the fence. It stands from the first exchange on, so after a revert too; `abort` takes it away."""
    return FENCE.sub("", dump)
