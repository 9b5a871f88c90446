"""What holds for every failure of a command, whatever caused it."""

from __future__ import annotations

import re

from tests.support.commands import CliResult

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WRAPPED = re.compile(r"\r?\n +")  # a line that goes on, indented, where the terminal ends
SECRET = "s3cret-pass-word"
FORBIDDEN = ("Traceback", "psycopg", SECRET, "OperationalError", "sqlalchemy", "Exception ignored", "Unforeseen")


def judge(result: CliResult, *codes: int) -> str:
    """The first of the three lines, after checking the exit code and that nothing internal is shown."""
    text = result.stdout + result.stderr
    assert result.code in codes, text
    for forbidden in FORBIDDEN:
        assert forbidden not in text
    return judge_lines(result.stderr)


def judge_lines(text: str) -> str:
    """The first of the three lines. They come once, in their order, and each says something."""
    whole = WRAPPED.sub(" ", COLOUR.sub("", text))
    lines = [line for line in whole.splitlines() if line.startswith(("error:", "state:", "next:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "state", "next"], text
    assert all(line.split(":", 1)[1].strip() for line in lines), text
    return lines[0]
