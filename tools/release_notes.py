"""Release notes: the section of one version of CHANGELOG.md. `python -m tools.release_notes 0.2.0`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
UNRELEASED = "Unreleased"
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)

LINKS = re.compile(r"^\[[^\]]+\]: ", re.MULTILINE)


class Section(NamedTuple):
    """One version: its number or `Unreleased`, the day of its release, its text without the heading."""

    version: str
    date: str | None
    text: str


def sections(changelog: str) -> list[Section]:
    """The versions, newest first, as the file lists them."""
    found = list(HEADING.finditer(changelog))
    links = LINKS.search(changelog)
    ends = [m.start() for m in found[1:]] + [links.start() if links else len(changelog)]
    return [Section(m["version"], m["date"], changelog[m.end() : end].strip()) for m, end in zip(found, ends, strict=True)]


def notes(changelog: str, version: str) -> str:
    """The text of one version. Raises LookupError, of one line."""
    for section in sections(changelog):
        if section.version == version:
            if not section.text:
                raise LookupError(f"CHANGELOG.md says nothing of {version}.")
            return section.text
    raise LookupError(f"CHANGELOG.md has no version {version}. Rename [{UNRELEASED}], with the day of the release.")


def main(args: list[str]) -> int:
    version = args[0].removeprefix("v") if args else UNRELEASED
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), version) + "\n")
    except LookupError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
