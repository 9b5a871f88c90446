"""The one tree of errors. Each class has an exit code (docs/cli.md). Each instance says what happened, in which state the
database is, and what to do next. No other error may reach a user.

    SwapError
        DefectError            1   an error that this tool did not foresee
        UsageError             2   a wrong option, argument or configuration value
        RefusedError           3   a preflight check or a gate refused
        LockError              4   a lock was not obtained within its budget
        DifferenceError        5   verification found a difference, or did not finish
        StoppedError           6   a hook failed, or an operator stopped the command
          DeclinedError            the answer to the question was not yes
        UnknownOutcomeError    7   the server was lost around a COMMIT
        PhaseError             8   the run's phase does not allow this command
        UnreachableError       9   the database was not reached
"""

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
    """Base of the tree. `state`: the state of the database now; `hint`: what to do next; `document`: what --json prints beside the
    error; `journalled`: the message as the journal may hold it, without texts of other sessions' queries."""

    exit_code = ExitCode.DEFECT
    default_state = "Whatever was committed before stays; every command can be run again."
    default_hint = "Run the command again with -v for a traceback, and report it with that output."

    def __init__(self, message: str, *, state: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.state = state or self.default_state
        self.hint = hint or self.default_hint
        self.document: dict[str, object] = {}
        self.journalled = self.message


def attach(error: Exception, document: dict[str, object]) -> None:
    """Give the error a document that --json prints beside it. It may be a driver's error that becomes a SwapError later."""
    vars(error)["document"] = document


class DefectError(SwapError):
    """An error that this tool did not foresee."""


class UsageError(SwapError):
    """A wrong option, argument or configuration value."""

    exit_code = ExitCode.USAGE
    default_state = NOTHING_CHANGED
    default_hint = "Correct it and run the command again; `swap COMMAND --help` shows an example."


class RefusedError(SwapError):
    """A preflight check or a gate refused."""

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
    default_hint = "Fix the hook, or stop for good. Run the command again when ready."


class DeclinedError(StoppedError):
    """The operator did not say yes to the question before the command acts: nothing has begun."""


class UnknownOutcomeError(SwapError):
    """The server was lost around a COMMIT, and could not be asked for the outcome."""

    exit_code = ExitCode.UNKNOWN
    default_state = "The transaction was either committed or rolled back as a whole; which is not known yet."
    default_hint = "Run `swap status` when the server answers: it resolves the outcome."


class PhaseError(SwapError):
    """The run is in a phase that does not allow this command."""

    exit_code = ExitCode.PHASE
    default_state = NOTHING_CHANGED
    default_hint = "`swap status` shows the phase and what is possible in it."


class UnreachableError(SwapError):
    """The database was not reached, or refused the connection."""

    exit_code = ExitCode.UNREACHABLE
    default_state = "Nothing that was not committed took effect."
    default_hint = "Check --dsn, SWAP_DSN or the PG* variables, the server and pg_hba.conf; then run it again."
