"""Texts for people: cut between words at any width from 40 columns on, in units, with their plurals, the worst first."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swap.cli import terminal
from swap.cli.output import wrapped
from swap.core.units import about, counted, size
from tests.support.operator import MakeOperator

WORDS = st.lists(st.text("abcdefgh-_.(),/`", min_size=1, max_size=25), min_size=1, max_size=40)
ROWS = [
    {"name": "disk", "status": "ok", "object": "server", "detail": "enough", "hint": ""},
    {"name": "key", "status": "ok", "object": "public.users", "detail": "a bigint", "hint": ""},
    {
        "name": "rules",
        "status": "warning",
        "object": "public.users",
        "detail": "a rule " * 12,
        "hint": "DROP RULE r ON public.users;",
    },
    {"name": "policy", "status": "blocker", "object": "public.users", "detail": "a policy", "hint": "See `docs`."},
]


@given(WORDS, st.integers(40, 200), st.integers(0, 12))
def test_no_word_is_cut_and_no_line_is_too_long(words: list[str], columns: int, indent: int) -> None:
    text = " ".join(words)
    lines = wrapped(text, columns, indent)
    assert max(map(len, lines)) <= columns
    assert " ".join(line.strip() for line in lines) == text
    assert all(line.startswith(" " * indent) for line in lines[1:])
    assert wrapped(text, None, indent) == [text]


def test_a_word_that_is_longer_than_a_line_is_cut() -> None:
    assert wrapped("x" * 100, 40, 9) == ["x" * 40, " " * 9 + "x" * 31, " " * 9 + "x" * 29]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (counted(1, "check"), "1 check"), (counted(0, "blocker"), "0 blockers"), (counted(1200, "row"), "1,200 rows"),
        (size(0), "0 B"), (size(1500), "1 kB"), (size(5 * 1024**4), "5.0 TB"),
        (about(0.2), "an instant"), (about(42), "about 42 s"), (about(240), "about 4 min"), (about(10_000), "about 3 h"),
    ],
)  # fmt: skip
def test_units(said: str, wanted: str) -> None:
    assert said == wanted


@pytest.mark.parametrize("columns", [40, 80, None])
def test_findings_come_first_and_what_is_fine_is_one_line(
    columns: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "columns_of", lambda _: columns)
    terminal.print_checks(ROWS, fold=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == ["blocker", "warning", "ok"]
    assert (
        re.sub(r"\s+", " ", lines[-1] if columns != 40 else " ".join(lines[-2:])) == "ok 2 checks (disk, key); --all shows them"
    )
    assert columns is None or max(map(len, lines)) <= columns
    terminal.print_checks(ROWS)
    assert "enough" in capsys.readouterr().out


def test_doctor_tries_the_schema_and_plan_speaks_in_units(operator: MakeOperator, capsys: Any) -> None:
    """What `plan` refuses, `doctor` lists; and what a plan costs is in units, one formula in both."""
    op = operator(users=30)
    said = op.cli("doctor", config=op.config, dsn=op.db.owner).stdout
    assert re.search(r"^ok       \d+ checks \(.*trial.*\); --all shows them$", said, re.MULTILINE)
    assert "trial" not in op.cli("doctor", "--no-trial", config=op.config, dsn=op.db.owner).stdout
    everything = op.cli("doctor", "--all", config=op.config, dsn=op.db.owner).stdout
    (needed,) = re.findall(r"about ([\d.]+ \w+) needed for", everything)
    plan = op.cli("plan", config=op.config, dsn=op.db.owner).stdout
    assert f"  disk      {needed} free, for all of that" in plan
    assert "  time      an instant with one session" in plan
    assert "  reads     fast: this role may not see other sessions' snapshots" in plan
    assert "GRANT pg_read_all_stats TO swap_owner;" in plan
    assert not re.search(r"\b1 statements", plan)
