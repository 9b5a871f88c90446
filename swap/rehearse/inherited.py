"""A clone of a database with a run under way has that run too. It is taken over or cleared on purpose, never by the way."""

from __future__ import annotations

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.rehearse.commands import Commands, Ran
from swap.state.journal import Journal, Phase

REFUSE, CLEAR, TAKE_OVER = "refuse", "clear", "take-over"


def settle_inherited(conn: Connection, config: Config, commands: Commands, what: str) -> str | None:
    """What became of the inherited run, for the report; None where there is none. Raises RefusedError where the operator has not
    said what is to become of it, and where it cannot be done."""
    journal = Journal(conn, config.names.state_schema, config.source.name, take_over=True)
    run = journal.current(config.source.name) if journal.exists() else None
    if run is None or run.phase in (Phase.FINALIZED, Phase.ABORTED):
        if run is not None and journal.copied:
            _done(commands.run("adopt-clone", "--yes"))
        return None
    phase = run.phase.public
    if what == REFUSE:
        raise RefusedError(
            f"The clone has a run of {run.source}, {phase}, from its original.",
            state="Nothing was changed in the clone.",
            hint="--inherited clear aborts it in the clone, and rehearses from the beginning; --inherited take-over goes on from where it is.",
        )
    if run.phase is Phase.CUT_OVER:
        raise RefusedError(
            f"The clone has a run of {run.source} that is cut over: there is no cutover left to rehearse.",
            state="Nothing was changed in the clone.",
            hint="Rehearse on a clone that was made before the cutover.",
        )
    _done(commands.run("adopt-clone", "--yes"))
    if what == CLEAR:
        _done(commands.run("abort", "--yes"))
        return f"an inherited run ({phase}) was cleared in the clone"
    verified = journal.verifications.clean_age_s(run.id) is not None
    return f"an inherited run ({phase}) was taken over: phases that it had behind it took no time here" + (
        "; its verification is inherited, and is not relied on: this rehearsal verifies anew" if verified else ""
    )


def _done(ran: Ran) -> None:
    """Raises RefusedError where the command failed."""
    if ran.error is not None:
        raise RefusedError(
            f"`swap {' '.join(ran.args)}` in the clone ended with {ran.code}: {ran.error['message']}",
            state="The clone may be changed; production was only read.",
            hint=str(ran.error["hint"]) or "Rehearse on a clone without a run.",
        )
