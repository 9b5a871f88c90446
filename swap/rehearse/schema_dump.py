"""`pg_dump --schema-only` at three moments, and what the cycle left behind.

Before `prepare`, before the first cutover, and after the revert. After the revert syncing goes on, so the shadow and capture are
there again: these are `swap`'s own and do not count. What counts: a line that the application's schema had before `prepare` and no
longer has; and any line that differs between the moments before the cutover and after the revert.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swap.core.errors import UsageError
from swap.core.names import TableName, quote

# Comments name versions, and \restrict carries a random token.
NOISE = re.compile(r"^(--|\\(un)?restrict\b|SET |SELECT pg_catalog\.set_config|$)")
FENCE = re.compile(r"\bswap_fence\b")
SHOWN = 50


@dataclass(frozen=True)
class Line:
    """One line of a dump, and the statement that it belongs to: its first line."""

    statement: str
    text: str


@dataclass(frozen=True)
class SchemaComparison:
    """`lost`: lines of before `prepare` that are not there after the revert; `changed`: lines that the exchange and its revert
    removed (-) or added (+)."""

    lost: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.lost and not self.changed


def dump_schema(pg_dump: Path, environment: dict[str, str], state_schema: str) -> str:
    """The schema as text; `environment` leads to the database. Takes ACCESS SHARE on every table. Raises UsageError."""
    argv = [str(pg_dump), "--schema-only", "--encoding=UTF8", f"--exclude-schema={quote_pattern(state_schema)}"]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"pg_dump ended with {done.returncode}: {said[0] if said else 'it said nothing'}.",
            state="The clone was read only.",
            hint="The role that rehearses has to be able to read every table's definition: run pg_dump --schema-only by hand to see why.",
        )
    return done.stdout.decode(errors="replace")


def quote_pattern(name: str) -> str:
    """A name as a pattern of pg_dump that means only it."""
    return quote(name) if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'


def lines_of(dump: str, own: Iterable[TableName], state_schema: str) -> list[Line]:
    """The lines of the application's own statements: without those about the tables `own`, and without triggers and anything else
    that names the state schema. A trailing comma is no part of a line: a column that is added behind it changes nothing."""
    shadows = re.compile("|".join(_mention(t) for t in own) or r"(?!)")
    state = re.compile(rf"(?<![\w$\"]){re.escape(quote(state_schema))}\.")
    out: list[Line] = []
    for statement in _statements(dump):
        whole = "\n".join(statement)
        if shadows.search(whole) or state.search(whole) or FENCE.search(whole):
            continue
        out += [Line(statement[0], text.rstrip(",")) for text in statement]
    return out


def _mention(table: TableName) -> str:
    """The table itself: not a longer name that begins with its own."""
    return rf"(?<![\w$\"]){re.escape(str(table))}(?![\w$\"])"


def _statements(dump: str) -> list[list[str]]:
    """Statements as lists of lines. In the output of pg_dump a comment precedes every object, and a blank line ends a statement."""
    out: list[list[str]] = [[]]
    for line in dump.splitlines():
        if NOISE.match(line):
            if out[-1] and not line:
                out.append([])
            continue
        out[-1].append(line)
    return [s for s in out if s]


def compare(before: Sequence[Line], prepared: Sequence[Line], reverted: Sequence[Line]) -> SchemaComparison:
    """What the cycle changed in the application's schema. The order of statements and of lines does not count."""
    lost = Counter(before) - Counter(reverted)
    gone, new = Counter(prepared) - Counter(reverted), Counter(reverted) - Counter(prepared)
    changed = [f"- {_told(line)}" for line in gone.elements()] + [f"+ {_told(line)}" for line in new.elements()]
    return SchemaComparison(tuple(_told(line) for line in lost.elements())[:SHOWN], tuple(changed)[:SHOWN])


def _told(line: Line) -> str:
    return line.text if line.text == line.statement else f"{line.statement} … {line.text.strip()}"
