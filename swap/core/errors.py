"""The one tree of errors. Each class has the exit code of CLI.md; each instance says what happened,
what state the database was left in, and what to do next. Nothing else may reach a user."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes: a contract with scripts and runbooks (docs/cli.md)."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    REFUSED = 3
    LOCK = 4
    DIFFERENT = 5
    STOPPED = 6
    UNKNOWN = 7
    PHASE = 8
    UNREACHABLE = 9


NOTHING_CHANGED = "Nothing was changed."


class SwapError(Exception):
    """Base of the tree. `state`: what the database was left in; `hint`: what to do next; `document`: what --json says
    beside the error."""

    exit_code = ExitCode.DEFECT
    default_state = "Whatever was committed before stays; every command can be run again."
    default_hint = "Run the command again with -v for a traceback, and report it with that output."

    def __init__(self, message: str, *, state: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.state = state or self.default_state
        self.hint = hint or self.default_hint
        self.document: dict[str, object] = {}


def attach(error: Exception, document: dict[str, object]) -> None:
    """What --json says beside this error: of a SwapError, or of a driver error that becomes one later."""
    vars(error)["document"] = document


class DefectError(SwapError):
    """Something this tool did not foresee."""


class UsageError(SwapError):
    """A wrong option, argument or configuration value."""

    exit_code = ExitCode.USAGE
    default_state = NOTHING_CHANGED
    default_hint = "Correct it and run the command again; `swap COMMAND --help` shows an example."


class RefusedError(SwapError):
    """A preflight check or a gate said no."""

    exit_code = ExitCode.REFUSED
    default_state = NOTHING_CHANGED
    default_hint = "Run `swap doctor` for every finding with its remedy."


class LockError(SwapError):
    """A lock was not obtained within its budget."""

    exit_code = ExitCode.LOCK
    default_state = "Nothing was changed; syncing goes on."
    default_hint = "Safe to run again. `swap status` and pg_stat_activity show who holds the tables."


class DifferenceError(SwapError):
    """Verification found a difference, or did not finish (which is never success)."""

    exit_code = ExitCode.DIFFERENT
    default_state = "Verification changes nothing."
    default_hint = "`swap verify --method exact` names keys and columns; `--repair` queues them for replay."


class StoppedError(SwapError):
    """A hook failed, or an operator stopped the command."""

    exit_code = ExitCode.STOPPED
    default_state = NOTHING_CHANGED
    default_hint = "Mend the hook, or stop for good; run the command again when ready."


class UnknownOutcomeError(SwapError):
    """The server went away around a COMMIT and could not be asked."""

    exit_code = ExitCode.UNKNOWN
    default_state = "The transaction was either committed or rolled back as a whole; which is not known yet."
    default_hint = "Run `swap status` when the server answers: it resolves the outcome."


class PhaseError(SwapError):
    """The run is in a phase that does not allow this command."""

    exit_code = ExitCode.PHASE
    default_state = NOTHING_CHANGED
    default_hint = "`swap status` shows the phase and what is possible in it."


class UnreachableError(SwapError):
    """The database was unreachable or refused the connection."""

    exit_code = ExitCode.UNREACHABLE
    default_state = "Nothing that was not committed took effect."
    default_hint = "Check --dsn, SWAP_DSN or the PG* variables, the server and pg_hba.conf; then run it again."
