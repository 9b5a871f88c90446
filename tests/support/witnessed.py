"""How many statements of the application the witness ran in every state (tests/witness), in the last lines of a run.

The counts travel in the reports of the tests, so they add up over all processes of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.mode import current_mode

Witnessed = Callable[[str, int], None]


@pytest.fixture
def witnessed(request: pytest.FixtureRequest) -> Witnessed:
    """`witnessed(what, number)`: add to a count."""
    return lambda what, number: request.node.user_properties.append(("witnessed", [current_mode(), what, number]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    if name == "witnessed":
                        counts.setdefault(value[0], Counter())[value[1]] += value[2]
    for mode, found in sorted(counts.items()):
        terminalreporter.write_line(
            f"witness, {mode}: {found['statements']} statements of {found['schemas']} schemas, {found['without an error']} of them"
            " without an error, each run in four states"
        )
        for reason, number in sorted((r, n) for r, n in found.items() if r.startswith("left out")):
            terminalreporter.write_line(f"witness, {mode}: {number} tables {reason}")
