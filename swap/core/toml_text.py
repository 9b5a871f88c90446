"""Entries of the configuration in a hint: as they can be copied into the file."""

from __future__ import annotations

import json

PLAIN = {chr(n): f"\\u{n:04x}" for n in (127, *range(0x80, 0xA0))}  # control characters that JSON leaves as they are


def toml_string(text: str) -> str:
    """`text` as a string of TOML on one line. JSON's escapes are TOML's."""
    return "".join(PLAIN.get(c, c) for c in json.dumps(text, ensure_ascii=False))


def entry(section: str, **values: str) -> str:
    """An entry of a list of sections, over several lines, with a line feed in front: a hint goes on with it."""
    return f"add to the configuration\n[[{section}]]\n" + "\n".join(
        f"{key} = {toml_string(value)}" for key, value in values.items()
    )
