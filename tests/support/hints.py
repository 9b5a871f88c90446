"""What a hint of `doctor` tells a reader to do: statements to run, and entries for the configuration."""

from __future__ import annotations

import re
import tomllib
from typing import Any

ENTRY = re.compile(r"add to the configuration\n(\[\[.*)", re.DOTALL)


def entries(hint: str) -> dict[str, Any]:
    """The entries as tomllib reads them. Raises what it raises."""
    found = ENTRY.search(hint)
    return tomllib.loads(found[1]) if found else {}
