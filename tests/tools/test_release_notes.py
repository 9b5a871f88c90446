"""The changelog has versions, and release notes are made from it."""

from __future__ import annotations

import subprocess

import pytest

from swap import __version__
from tests.support.commands import ROOT
from tools.release_notes import UNRELEASED, Section, notes, sections

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".dev", maxsplit=1)[0].split("."))


def test_versions_are_in_order_and_have_a_day() -> None:
    first, *released = sections(CHANGELOG)
    assert first.version == UNRELEASED or first.date
    versions = [number(s.version) for s in released]
    assert versions == sorted(versions, reverse=True)
    assert all(s.date for s in released)
    assert [s.date for s in released] == sorted((str(s.date) for s in released), reverse=True)


def test_the_package_has_the_version_of_the_changelog() -> None:
    first, *released = sections(CHANGELOG)
    if ".dev" in __version__:
        assert first.version == UNRELEASED
        assert number(__version__) > number(released[0].version)
    else:
        assert (first.version, bool(first.date)) == (__version__, True)


def test_notes_are_one_section() -> None:
    text = "# C\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- a\n\n## [0.1.0] - 2026-11-01\n\n- b\n\n[0.1.0]: https://x\n"
    assert sections(text)[1] == Section("0.2.0", "2026-12-01", "### Added\n\n- a")
    assert notes(text, "0.1.0") == "- b"
    with pytest.raises(LookupError, match="nothing of Unreleased"):
        notes(text, UNRELEASED)
    with pytest.raises(LookupError, match=r"no version 0\.3\.0"):
        notes(text, "0.3.0")


def test_the_make_target() -> None:
    done = subprocess.run(["make", "-s", "release-notes", "VERSION=v0.1.0"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == notes(CHANGELOG, "0.1.0")
