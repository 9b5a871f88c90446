"""docs/hazards.md: one row for each hazard, and each names what there is."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (H\d+) \|(.*)$", PAGE, re.MULTILINE))
LAST = 70
CITED = [f"H{n}" for n in range(53, LAST + 1)]
"""Hazards whose tests cite them by their number. Those of before are cited by the tests' names in their rows."""


@cache
def sources() -> dict[Path, str]:
    here = Path(__file__).resolve()
    return {p: p.read_text(encoding="utf-8") for p in sorted((ROOT / "tests").rglob("*.py")) if p != here}


@cache
def names() -> frozenset[str]:
    return frozenset(n for text in sources().values() for n in re.findall(r"^def (test_\w+)", text, re.MULTILINE))


def test_each_hazard_has_one_row() -> None:
    rows = re.findall(r"^\| (H\d+) \|", PAGE, re.MULTILINE)
    assert sorted(rows, key=lambda h: int(h[1:])) == [f"H{n}" for n in range(1, LAST + 1)]


@pytest.mark.parametrize("hazard", CITED)
def test_a_test_cites_it(hazard: str) -> None:
    assert any(re.search(rf"\b{hazard}\b", text) for text in sources().values())


@pytest.mark.parametrize("hazard", ROWS)
def test_what_its_row_names_is_there(hazard: str) -> None:
    row = ROWS[hazard]
    assert [n for n in re.findall(r"`(?:[\w/.]+::)?(test_[a-z_0-9]+)(?:\[[^`]*\])?`", row) if n not in names()] == []
    assert [p for p in re.findall(r"`(tests/[\w/]+\.py)(?:::|`)", row) if not (ROOT / p).exists()] == []
    assert [p for p in re.findall(r"`(tests/[\w/]+/)`", row) if not (ROOT / p).is_dir()] == []
