"""`--clone hook`: a program of the operator's makes the clone and prints its DSN as its last line on stdout (Database Lab, Neon, a
snapshot of a cloud). It is called a second time to remove it, once that is proved not to be production. Recipes: docs/rehearse.md.

| variable | |
|---|---|
| `SWAP_CLONE_ACTION` | `create`, then `remove` |
| `SWAP_CLONE_DSN` | with `remove`: what it printed |
| `PG*` | how production is reached, with `create` |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from swap.core.errors import NOTHING_CHANGED, RefusedError, StoppedError, UnreachableError, UsageError
from swap.core.libpq_environment import conninfo_of, libpq_environment
from swap.core.printable import printable
from swap.core.process import uninterrupted
from swap.core.secrets import mask
from swap.core.units import duration
from swap.rehearse.child import Child
from swap.rehearse.clones import Clone, CloneOptions, Note, Production, reached
from swap.rehearse.environment import clean_environment
from swap.rehearse.proof import prove_not_production
from swap.rehearse.watchdog import Watchdog

ACTION, DSN = "SWAP_CLONE_ACTION", "SWAP_CLONE_DSN"
TAIL_CHARS = 300
PRINTED = "what the hook printed"
UNPROVED = "The hook was not called to remove it: it may be production."


@contextmanager
def hook_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """Raises StoppedError where the program fails or prints nothing."""
    note(f"the clone's hook: {options.hook[0]}")
    with production.database.session("clone") as conn, libpq_environment(conn) as variables, Watchdog() as watchdog:
        dsn = _call(options, variables | {ACTION: "create"}, watchdog)
    _refuse_unproved(production, options, dsn)
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
                _call(options, remove, watchdog)


def _refuse_unproved(production: Production, options: CloneOptions, dsn: str) -> None:
    """A program that printed production's DSN by mistake must not be told to remove that. Raises SwapError."""
    try:
        with reached(PRINTED, dsn) as clone, production.database.session("proof") as original:
            prove_not_production(original, clone, options.state_schema)
    except (RefusedError, UsageError, UnreachableError) as e:
        raise type(e)(e.message, state=f"{e.state} {UNPROVED}", hint=e.hint) from None


def _clone(options: CloneOptions, dsn: str) -> Clone:
    with reached(PRINTED, dsn) as conn:
        there = conninfo_of(conn)
        said = f"the database {conn.info.dbname} of {conn.info.host or 'this machine'}, port {conn.info.port}, made by {options.hook[0]}"
    return Clone("hook", there, there, said)


def _call(options: CloneOptions, variables: Mapping[str, str], watchdog: Watchdog) -> str:
    """The last line of what it prints. Raises StoppedError."""
    action, name = variables[ACTION], options.hook[0]
    child = Child(options.hook, clean_environment(**variables), options.directory, options.timeout_s)
    try:
        done = child.run(watchdog)
    except OSError as e:
        raise StoppedError(
            f"The clone's hook {name} ({action}) could not be started: {e.strerror}.", state=_state(action)
        ) from None
    lines = [line for line in done.out.splitlines() if line.strip()]
    if done.late or done.code or (action == "create" and not lines):
        ended = f"failed with exit code {done.code}" if done.code else "printed no DSN"
        ended = f"was ended after {duration(options.timeout_s)} ([hooks] timeout_s)" if done.late else ended
        errors = printable(mask(done.err)).strip()[-TAIL_CHARS:]
        raise StoppedError(
            f"The clone's hook {name} ({action}) {ended}.",
            state=_state(action),
            hint=f"Its errors end: {errors}" if errors else "It said no more.",
        )
    return lines[-1].strip() if lines else ""


def _state(action: str) -> str:
    made = "What the hook began to make may still be there: it is not called to remove it without a DSN."
    return f"{NOTHING_CHANGED} {made}" if action == "create" else "The clone may still be there."
