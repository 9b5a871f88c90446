"""The command line (docs/cli.md): arguments in, exit code out. Every error ends here in three lines or one JSON object."""

from __future__ import annotations

import sys
import traceback

import psycopg
import typer

from swap.cli import commands, demo_command, operate, verify_command
from swap.cli.context import INTERRUPTED, STOPPED
from swap.cli.output import emit_json, error_document, print_error
from swap.core.connection import translate
from swap.core.errors import DefectError, StoppedError, SwapError, UsageError

app = typer.Typer(
    name="swap",
    help="Change a live PostgreSQL table's primary key from bigint to uuid: verified, and with a way back at every stage.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
commands.register(app)
verify_command.register(app)
operate.register(app)
demo_command.register(app)

# typer's usage errors: the class moved when typer took click into itself, its place in the hierarchy did not.
_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def run(args: list[str]) -> int:
    """The exit code of one command line. Never raises."""
    as_json = "--json" in args
    try:
        result = app(args=args, standalone_mode=False, prog_name="swap")
        if result != INTERRUPTED:
            return result if isinstance(result, int) else 0
        error: SwapError = StoppedError(**STOPPED)
    except typer.Exit as e:
        if e.exit_code != INTERRUPTED:
            return e.exit_code
        error = StoppedError(**STOPPED)
    except SwapError as e:
        error = e
    except psycopg.Error as e:
        error = translate(e)
        error.document = vars(e).get("document", {})
    except (typer.Abort, KeyboardInterrupt):
        error = StoppedError(**STOPPED)
    except _CLICK_ERROR as e:
        message = e.format_message() if hasattr(e, "format_message") else str(e)
        error = UsageError(message if message.endswith((".", "?")) else f"{message}.")
    except Exception as e:  # noqa: BLE001 - the one place where an unforeseen error becomes exit code 1
        error = DefectError(f"Unforeseen: {type(e).__name__}: {e}.")
        error.__cause__ = e
    return _report(error, as_json=as_json, verbose="-v" in args or "--verbose" in args)


def _report(error: SwapError, *, as_json: bool, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    if as_json:
        emit_json(error.document | {"error": error_document(error)})
    else:
        print_error(error.message, error.state, error.hint)
    return int(error.exit_code)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
