"""The command line (docs/cli.md): arguments in, exit code out. Every error ends here in three lines or one JSON object."""

from __future__ import annotations

import gc
import os
import sys
import traceback

import typer

from swap.cli.commands import app
from swap.cli.output import for_people
from swap.cli.results import conclude, stopped
from swap.core.errors import DefectError, ExitCode, SwapError, UsageError
from swap.core.secrets import hide

ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
INTERRUPTED = 130  # typer returns it after a Ctrl-C outside a command's work
# The class of typer's usage errors. It moved when typer took click into itself; its place in the hierarchy stayed.
_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def run(args: list[str]) -> int:
    """Run one command line and return its exit code. No exception leaves it."""
    args = _in_typers_words(args)
    as_json = "--json" in args
    try:
        result = app(args=args, standalone_mode=False, prog_name="swap")
        if result != INTERRUPTED:
            return result if isinstance(result, int) else 0
        error: SwapError = stopped()
    except typer.Exit as e:
        if e.exit_code != INTERRUPTED:
            return e.exit_code
        error = stopped()
    except SwapError as e:
        error = e
    except (typer.Abort, KeyboardInterrupt):
        error = stopped()
    except _CLICK_ERROR as e:
        message = e.format_message() if hasattr(e, "format_message") else str(e)
        error = UsageError(message if message.endswith((".", "?")) else f"{message}.", hint=_where_help_is(e, args))
    except Exception as e:  # noqa: BLE001 - the one place where an unforeseen error becomes exit code 1
        error = _of_the_driver(e) or DefectError(f"Unforeseen: {type(e).__name__}: {e}.")
        error.__cause__ = e
    return _report(error, as_json=as_json, verbose="-v" in args or "--verbose" in args, args=args)


def _in_typers_words(args: list[str]) -> list[str]:
    """`swap`, `swap help`, `swap help COMMAND` and `swap --version` in the words that typer knows."""
    if args[:1] == ["--version"]:
        return ["version", *args[1:]]
    if args in ([], ["help"], ["help", "help"]):
        return ["--help"]
    return [*args[1:], "--help"] if args[0] == "help" else args


def _where_help_is(error: Exception, args: list[str]) -> str:
    """Name the help of the command whose option or argument is wrong; the list of commands where there is no such command."""
    context = getattr(error, "ctx", None)
    known = context.info_name if context is not None and context.parent is not None else None
    if known is None and args[0] in {c.callback.__name__ for c in app.registered_commands if c.callback}:
        known = args[0]  # an option that lacks its value: typer gives no context
    if known is None:
        return "`swap help` lists the commands, `swap help COMMAND` the options of one."
    return f"`swap help {known}` lists its options and shows an example."


def _of_the_driver(error: Exception) -> SwapError | None:
    """Translate an error of the driver; None for any other. A process that has not loaded the driver has none of its errors."""
    driver = sys.modules.get("psycopg")
    if driver is None or not isinstance(error, driver.Error):
        return None
    from swap.core.connection import translate

    meant = translate(error)
    meant.document = vars(error).get("document", {})
    return meant


def _report(error: SwapError, *, as_json: bool, verbose: bool, args: list[str]) -> int:
    """A connection string among the arguments is no part of what is shown, wherever in the command line it stands."""
    try:
        if verbose:
            sys.stderr.write(for_people(hide("".join(traceback.format_exception(error)), args)))
        error.message, error.state, error.hint = (hide(text, args) for text in (error.message, error.state, error.hint))
        return conclude(error.document, error, as_json=as_json)
    except KeyboardInterrupt:  # a second signal, while this is printed
        return int(error.exit_code)


def _deliver() -> None:
    """What a webhook has not taken yet (swap.core.webhook): wait for it some seconds, now that everything is done and said."""
    webhook = sys.modules.get("swap.core.webhook")
    if webhook is None:
        return
    left = webhook.finish_all()
    if left:
        from swap.cli.log import Line, Rank, log
        from swap.core.units import counted

        log.write(Line(Rank.WARNING, f"{counted(left, 'event')} of this command did not reach the webhook"))


def main() -> None:
    """Run the console script.

    Modules allocate objects that stay. A garbage collection while they load, or at exit, reads all of them and frees none. With
    few collections before and none at exit, `swap status` takes a quarter less processor time (`python -m bench --only s`).
    """
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # one more signal, while `run` handles the last
        code = ExitCode.STOPPED
    _deliver()
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    if code == ExitCode.STOPPED:
        os._exit(code)  # a thread of an interrupted command may wait for the server; sys.exit would wait for it
    sys.exit(code)
