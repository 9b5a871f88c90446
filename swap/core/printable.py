"""Text from elsewhere, made safe for a terminal, a log and the journal.

A query, an application_name, the name of a table, the output of a hook: whoever wrote it may have put control sequences into it.
They move the cursor over what was printed before, change the window's title, answer on the terminal's input, or turn the direction
of the text round, so that an operator reads another command than the one that is there. `printable` writes such a character as its
escape, as `\\x1b`, so it is seen and does nothing.

Every edge calls it: stdout and stderr (swap.cli.output, swap.cli.terminal, swap.cli.progress, swap.cli.live), and the journal
(swap.state.store.kept). SQL that is written to a file or a pipe, and names in JSON, stay to the character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# C0 without tab and line feed, DEL and C1; marks, embeddings, overrides and isolates of bidirectional text; line and paragraph
# separators; what is invisible; lone surrogates, which no output can encode.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """`text` with every control character as its escape; tab and line feed stay. Idempotent."""
    return _CONTROL.sub(_escape, text)


def one_line(text: str) -> str:
    """The same with tabs and line feeds escaped too: for a value inside a line."""
    return printable(text).replace("\t", "\\t").replace("\n", "\\n")


# Members whose value is SQL, a name or a key: a script takes them as they are.
EXACT = frozenset({"sql", "name", "table", "column", "columns", "key", "trigger", "function", "database"})


def printable_document(value: Any, clean: Callable[[str], str] = printable, member: str = "") -> Any:
    """A JSON document whose texts for people went through `clean`. SQL, names and keys (EXACT) stay to the character."""
    if isinstance(value, str):
        return value if member in EXACT else clean(value)
    if isinstance(value, dict):
        return {k: printable_document(v, clean, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [printable_document(v, clean, member) for v in value]
    return value


def json_safe(document: str) -> str:
    """A JSON document with the control characters of its strings as `\\u` escapes. It means the same. JSON has none elsewhere but
    line feeds."""
    return _CONTROL.sub(_json_escape, document)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode("ascii")


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"
