"""The application that typer runs: its commands register here (swap.cli.commands), each with the options of its log."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

from swap.cli.log import Color, Form, Level, configure
from swap.cli.options import Colors, LogFile, LogFormat, LogLevel, Quiet

app = typer.Typer(
    name="swap",
    help="Change a live PostgreSQL table's primary key from bigint to uuid: verified, and with a way back at every stage.",
    epilog="`swap help COMMAND` shows the options of a command, and an example.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    # Defaults for the options before the command: for one without a value typer loads pydantic, to validate None.
    context_settings={
        "default_map": {"help": False, "install_completion": False, "show_completion": False, "show_version": False},
        "help_option_names": ["-h", "--help"],
    },
)


@app.callback()
def top(
    show_version: Annotated[bool, typer.Option("--version", help="Show the versions of swap, its state layout, Python and libpq, and the commit.")] = False,
) -> None:  # fmt: skip
    """Hold the options before the command. `swap.cli.run` turns `--version` into the command `version`, which takes --json too."""


def command(example: str, does: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`does`: the command's line in the list of all. typer would cut the docstring in the middle of it."""
    add = app.command(epilog=f"Example: {example}", short_help=does)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return add(with_log_options(function))

    return decorate


LOG_OPTIONS: dict[str, tuple[Any, object]] = {
    "log_file": (LogFile, None), "log_format": (LogFormat, Form.text), "log_level": (LogLevel, Level.info), "quiet": (Quiet, False),
    "color": (Colors, Color.auto),
}  # fmt: skip


def with_log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same command with the options of its log (swap.cli.log), which are taken over before it runs."""

    @wraps(function)
    def run(**given: Any) -> Any:
        chosen = {name: given.pop(name) for name in LOG_OPTIONS}
        configure(chosen["log_file"], chosen["log_format"], chosen["log_level"], quiet=chosen["quiet"], color=chosen["color"])
        return function(**given)

    own = signature(function)
    more = [Parameter(n, Parameter.KEYWORD_ONLY, default=default, annotation=of) for n, (of, default) in LOG_OPTIONS.items()]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, **{name: of for name, (of, _) in LOG_OPTIONS.items()}}
    return run
