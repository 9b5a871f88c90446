"""Where progress and notes go, and in what form: `--log-file`, `--log-format`, `--log-level`, `--quiet`, `--color`.

Every command takes these options (swap.cli.commands). A line has the time and its level. The log file gets every line of its level,
whatever the terminal shows; errors too.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TextIO

from swap.cli.output import for_people
from swap.core.errors import SwapError, UsageError


class Level(StrEnum):
    """What is at least logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Rank(IntEnum):
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Form(StrEnum):
    """How a line of the log is written."""

    text = "text"
    json = "json"


class Color(StrEnum):
    """When a terminal's colours are used. `auto`: on a terminal, unless NO_COLOR is set."""

    auto = "auto"
    always = "always"
    never = "never"


@dataclass(frozen=True)
class Line:
    """One line. `more`: fields of its JSON form beside the text."""

    rank: Rank
    text: str
    more: dict[str, object] = field(default_factory=dict)

    def written(self, form: Form) -> str:
        now = datetime.now(UTC)
        if form is Form.json:
            head = {"time": now.isoformat(timespec="milliseconds"), "level": self.rank.name.lower()}
            return json.dumps({**head, "message": for_people(self.text), **self.more})
        return f"{now:%Y-%m-%d %H:%M:%S}Z {self.rank.name:7} {for_people(self.text)}"


@dataclass
class Log:
    """The log of this process. `file`: open, or None."""

    form: Form = Form.text
    rank: Rank = Rank.INFO
    quiet: bool = False
    color: Color = Color.auto
    file: TextIO | None = None

    def write(self, line: Line, *, shown: bool = True) -> None:
        """To the log file, and to stderr when it is `shown` there."""
        if line.rank < self.rank:
            return
        if self.file is not None:
            self.file.write(line.written(self.form) + "\n")
            self.file.flush()
        if shown and (not self.quiet or line.rank >= Rank.WARNING):
            sys.stderr.write(line.written(self.form) + "\n")
            sys.stderr.flush()

    def error(self, error: SwapError) -> bool:
        """Log how a command failed. Returns whether stderr has it: as JSON, in place of the three lines for people."""
        more = {"code": int(error.exit_code), "state": for_people(error.state), "hint": for_people(error.hint)}
        as_json = self.form is Form.json
        text = error.message if as_json else f"{error.message} {error.state} {error.hint}"
        self.write(Line(Rank.ERROR, text, more), shown=as_json)
        return as_json


log = Log()


def configure(file: Path | None, form: Form, level: Level, *, quiet: bool, color: Color) -> None:
    """Take over the options of this command. Raises UsageError where the file cannot be written."""
    if log.file is not None:
        log.file.close()
    log.form, log.rank, log.quiet, log.color, log.file = form, Rank[level.name.upper()], quiet, color, None
    if file is not None:
        try:
            log.file = os.fdopen(
                os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8", errors="backslashreplace"
            )
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else str(e)
            raise UsageError(
                f"The log file cannot be written: {why}: {file}.", hint="Name a file that can be written with --log-file."
            ) from None
