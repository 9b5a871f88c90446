"""The options that several commands share, as typer reads them from a signature."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from swap.cli.log import Color, Form, Level

Dsn = Annotated[str | None, typer.Option("--dsn", help="libpq URI or conninfo string. Else SWAP_DSN, else the PG* variables.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Else SWAP_CONFIG, else ./swap.toml.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; progress goes to stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Traceback when something unforeseen happens.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the exact SQL with its locks; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed without a terminal.")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, max=64, help="Sessions at work. Else [sync] jobs.")]
ShowQueries = Annotated[bool, typer.Option("--show-queries", help="Also what other sessions run: it may hold values of rows.")]
PortOfMetrics = Annotated[
    int | None,
    typer.Option("--metrics-port", min=0, max=65535, metavar="PORT", help="Serve metrics for Prometheus on this port."),
]
AddressOfMetrics = Annotated[
    str | None,
    typer.Option("--metrics-bind", metavar="ADDRESS", help="Where --metrics-port listens. Else 127.0.0.1: this machine only."),
]
Clients = Annotated[
    list[str] | None,
    typer.Option("--disconnect-clients", metavar="ROLE", help="End its idle sessions after the commit. May be repeated."),
]
MaxAttempts = Annotated[int | None, typer.Option("--max-attempts", min=1, max=10_000, help="Else [cutover] max_attempts.")]
LockTimeout = Annotated[int | None, typer.Option("--lock-timeout", min=1, max=60_000, metavar="MS", help="Per attempt.")]
MaxLockHold = Annotated[
    int | None, typer.Option("--max-lock-hold", min=50, max=600_000, metavar="MS", help="Else it rolls back.")
]


LogFile = Annotated[
    Path | None, typer.Option("--log-file", metavar="FILE", help="Progress, notes and errors also go to this file (0600).")
]
LogFormat = Annotated[Form, typer.Option("--log-format", help="Of the log file, and of stderr.")]
LogLevel = Annotated[Level, typer.Option("--log-level", help="What is at least logged.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr, only warnings and errors.")]
Colors = Annotated[Color, typer.Option("--color", help="auto: on a terminal, unless NO_COLOR is set.")]


class Shell(StrEnum):
    """A shell that completes commands and options."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


class Hook(StrEnum):
    """A ready snapshot hook (swap/hooks)."""

    pg_dump = "pg_dump"
    restore_point = "restore_point"


class Mode(StrEnum):
    """How changes are captured."""

    trigger = "trigger"
    logical = "logical"


class Reads(StrEnum):
    """What reads across an exchange see."""

    exact = "exact"
    fast = "fast"


ReadsAcross = Annotated[
    Reads | None, typer.Option("--reads", help="Of snapshots from before it. fast: waits for no dump. Else [cutover] reads.")
]


class Method(StrEnum):
    """How `verify` compares rows."""

    exact = "exact"
    checksum = "checksum"


class Variant(StrEnum):
    """The example application of `demo`, before the migration."""

    adopt = "adopt"
    fresh = "fresh"


class CloneKind(StrEnum):
    """How `rehearse` makes a clone."""

    template = "template"
    dump = "dump"
    basebackup = "basebackup"
    hook = "hook"


class Inherited(StrEnum):
    """What becomes of a run that a clone has from its original."""

    refuse = "refuse"
    clear = "clear"
    take_over = "take-over"
