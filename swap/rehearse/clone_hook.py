"""`--clone hook`: a program of the operator's makes the clone and prints its DSN as its last line on stdout (Database Lab, Neon, a
snapshot of a cloud). It is called a second time to remove it. Recipes: docs/rehearse.md.

| variable | |
|---|---|
| `SWAP_CLONE_ACTION` | `create`, then `remove` |
| `SWAP_CLONE_DSN` | with `remove`: what it printed |
| `PG*` | how production is reached, with `create` |
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from swap.core.connection import Database
from swap.core.errors import NOTHING_CHANGED, StoppedError
from swap.core.libpq_environment import conninfo_of, libpq_environment
from swap.core.printable import printable
from swap.core.process import uninterrupted
from swap.core.secrets import mask
from swap.rehearse.clones import Clone, CloneOptions, Note, Production
from swap.rehearse.environment import clean_environment
from swap.rehearse.watchdog import Watchdog

ACTION, DSN = "SWAP_CLONE_ACTION", "SWAP_CLONE_DSN"
TAIL_CHARS = 300


@contextmanager
def hook_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """Raises StoppedError where the program fails or prints nothing."""
    note(f"the clone's hook: {options.hook[0]}")
    with production.database.session("clone") as conn, libpq_environment(conn) as variables:
        dsn = _call(options, variables | {ACTION: "create"})
    if options.keep:
        yield _clone(options, dsn)
        return
    remove = {ACTION: "remove", DSN: dsn}
    with (
        Watchdog() as watchdog,
        watchdog.watching(hook=list(options.hook), environment=remove, directory_of=str(options.directory.resolve())),
    ):
        try:
            yield _clone(options, dsn)
        finally:
            with uninterrupted():
                _call(options, remove)


def _clone(options: CloneOptions, dsn: str) -> Clone:
    with Database.from_options(dsn, "rehearse").session() as conn:
        there = conninfo_of(conn)
        said = f"the database {conn.info.dbname} of {conn.info.host or 'this machine'}, port {conn.info.port}, made by {options.hook[0]}"
    return Clone("hook", there, there, said)


def _call(options: CloneOptions, variables: dict[str, str]) -> str:
    """The last line of what it prints. Raises StoppedError."""
    action, name = variables[ACTION], options.hook[0]
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                options.hook, cwd=options.directory, env=clean_environment(**variables), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=said, timeout=options.timeout_s, check=False, start_new_session=True,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as e:
            raise StoppedError(
                f"The clone's hook {name} ({action}) did not run to its end: {getattr(e, 'strerror', None) or e}."
            ) from None
        said.seek(0)
        errors = printable(mask(said.read().decode(errors="replace"))).strip()[-TAIL_CHARS:]
    lines = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
    if done.returncode or (action == "create" and not lines):
        ended = f"failed with exit code {done.returncode}" if done.returncode else "printed no DSN"
        state = f"No clone was made. {NOTHING_CHANGED}" if action == "create" else "The clone may still be there."
        raise StoppedError(
            f"The clone's hook {name} ({action}) {ended}.",
            state=state,
            hint=f"Its errors end: {errors}" if errors else "It said no more.",
        )
    return lines[-1].strip() if lines else ""
